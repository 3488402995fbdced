/** Reports as people see them, in a real browser: on a desk and on a telephone, light and dark, no table wider than the page. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import type { Browser } from 'playwright-core';

import { faceXBench } from '../../lib/evaluation/facexbench/benchmark.js';
import { pairsBenchmark } from '../../lib/evaluation/pairs/benchmark.js';
import { galleryHtml } from '../../lib/evaluation/run/gallery.js';
import { attributesBenchmark } from '../../lib/evaluation/attributes/benchmark.js';
import type { Benchmark, ModelRun } from '../../lib/evaluation/types.js';
import { launchChromium, SHOTS } from '../support/chromium.js';
import { makeFolder } from '../support/facexbench-folder.js';

const FACES = join(import.meta.dirname, '..', '..', 'examples', 'faces');
const WIDTHS = [1200, 400];

interface Facts {
  readonly page: number;
  readonly tables: number;
  readonly wide: number;
  readonly outside: number;
  readonly beside: number;
  readonly paper: string;
  readonly ink: string;
}
/** Runs in the page. */
const FACTS = `({
  page: document.documentElement.scrollWidth,
  tables: document.querySelectorAll('table').length,
  wide: [...document.querySelectorAll('.scroll')].filter((one) => one.scrollWidth > one.clientWidth).length,
  outside: [...document.querySelectorAll('figure svg, article *')].filter(
    (one) => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1,
  ).length,
  beside: [...document.querySelectorAll('figure')].filter((one) => {
    const next = one.nextElementSibling;
    return next !== null && next.getBoundingClientRect().top === one.getBoundingClientRect().top;
  }).length,
  paper: getComputedStyle(document.body).backgroundColor,
  ink: (() => {
    const text = document.querySelector('figure svg text');
    return text === null ? '' : getComputedStyle(text).fill;
  })(),
})`;

describe('reports in a browser', function () {
  this.timeout(240_000);
  let browser: Browser;
  let folder: string;
  const at = (...names: string[]): string => join(folder, ...names);

  before(async function () {
    browser = await launchChromium(this);
    folder = mkdtempSync(join(tmpdir(), 'facellm-reports-'));
    await write('facexbench', await faceXBench({ data: await makeFolder() }));
    await write(
      'attributes',
      await attributesBenchmark({
        ...{ data: FACES, split: 'test', columns: { age: 'age_bracket' }, limit: 60 },
        groups: ['source', 'gender', 'age'],
      }),
    );
    await write(
      'pairs',
      await pairsBenchmark({ data: FACES, genuine: 20, impostor: 40, split: 'test' }),
    );
  });
  after(async () => {
    await browser?.close();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  /** Answers that follow from the question's number: some surely wrong. */
  function runsOf({ items }: Benchmark): ModelRun[] {
    return ['base', 'tuned'].map((name, k) => ({
      name,
      outcomes: items.map(({ id, choices, answer }, i) => {
        const turn = (i * 7 + k * 3) % 10;
        const taken = turn < 3 + 2 * (1 - k) ? (answer + 1) % choices.length : answer;
        const share = 0.5 + 0.049 * turn;
        const rest = (1 - share) / (choices.length - 1);
        return {
          ...{ id, promptHash: '', promptTokens: 1, imageTokens: 1, generatedTokens: 1 },
          ...{ milliseconds: 1, text: choices[taken] ?? '' },
          probabilities: choices.map((_, choice) => (choice === taken ? share : rest)),
        };
      }),
    }));
  }

  /** The report and its gallery, as a run with these answers leaves them. */
  async function write(name: string, benchmark: Benchmark): Promise<void> {
    const runs = runsOf(benchmark);
    mkdirSync(at(name, 'report'), { recursive: true });
    await benchmark.report(runs, at(name, 'report'));
    const gallery = { most: 6, hasPictures: name !== 'pairs' };
    writeFileSync(at(name, 'report', 'gallery.html'), await galleryHtml(benchmark, runs, gallery));
  }

  async function look(
    path: string,
    name: string,
    width: number,
    colorScheme: 'light' | 'dark',
  ): Promise<Facts> {
    const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme });
    const asked: string[] = [];
    page.on('request', (request) => {
      if (!/^(file|data):/.test(request.url())) asked.push(request.url());
    });
    await page.goto(pathToFileURL(path).href);
    // Folded tables count, too.
    await page.evaluate(`document.querySelectorAll('details').forEach((one) => (one.open = true))`);
    if (SHOTS !== undefined) {
      mkdirSync(SHOTS, { recursive: true });
      const shot = join(SHOTS, `${name}-${width}-${colorScheme}.png`);
      await page.screenshot({ path: shot, fullPage: true });
    }
    const facts = await page.evaluate<Facts>(FACTS);
    await page.close();
    assert.deepEqual(asked, [], 'nothing is fetched');
    return facts;
  }

  const PAGES = {
    facexbench: 'facexbench.html',
    attributes: 'fairness.html',
    pairs: 'pairs.html',
  } as const;
  for (const [name, file] of Object.entries(PAGES)) {
    it(`${name}: tables and plots within the page, plots beside each other on a desk, their ink in the page's own`, async () => {
      const path = at(name, 'report', file);
      for (const width of WIDTHS) {
        const light = await look(path, name, width, 'light');
        const dark = await look(path, name, width, 'dark');
        for (const { page, tables, wide, outside } of [light, dark]) {
          assert.ok(page <= width, `the page is ${page} wide at ${width}`);
          assert.ok(tables > 0);
          assert.deepEqual([wide, outside], [0, 0], `at ${width}`);
        }
        assert.notEqual(light.paper, dark.paper);
        assert.notEqual(light.ink, dark.ink);
        if (width === 1200) assert.ok(light.beside > 0, 'plots stand beside each other');
        else assert.equal(light.beside, 0, 'and one below the other where there is no place');
      }
    });

    it(`${name}: a gallery of wrong answers, surest first, with pictures only where asked`, async () => {
      const path = at(name, 'report', 'gallery.html');
      for (const width of WIDTHS) {
        for (const scheme of ['light', 'dark'] as const) {
          const { page, outside } = await look(path, `${name}-gallery`, width, scheme);
          assert.ok(page <= width && outside === 0, `at ${width}`);
        }
      }
      const html = readFileSync(path, 'utf8');
      const [first = ''] = html.split('</section>');
      const shares = [...first.matchAll(/class="bar best"[^\n]*>([\d.]+) %</g)].map(([, one]) => Number(one)); // prettier-ignore
      assert.ok(shares.length > 1);
      assert.deepEqual(
        shares,
        [...shares].sort((a, b) => b - a),
      );
      // What is most probable is wrong on every card, and the label is ticked.
      assert.equal((first.match(/<article>/g) ?? []).length, shares.length);
      assert.equal((first.match(/class="bar( best)? right"/g) ?? []).length, shares.length);
      assert.equal(html.includes('<img'), name !== 'pairs');
      assert.match(html, /tuned: .*(right|wrong)/);
      assert.ok(!/<script|<link|onerror/.test(html));
    });
  }
});
