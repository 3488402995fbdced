/** The contact sheet: which rows, in which order, what it holds, and that it can be read at any width, light and dark. */
import assert from 'node:assert/strict';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import type { AnnotationField } from '../../lib/annotate/columns.js';
import { Sheet, surenessOf } from '../../lib/annotate/sheet.js';
import { annotate, type AnnotateOptions, type AnnotationRow } from '../../lib/index.js';
import { launchChromium, SHOTS } from '../support/chromium.js';
import { annotatingStub } from '../support/annotating-stub.js';

const FACES = join(import.meta.dirname, '..', '..', 'examples', 'faces');
const QUESTIONS = [
  { name: 'smile', question: 'Is this person <b>smiling</b>?', choices: ['Yes', 'No'] },
  {
    name: 'age',
    question: 'How old?',
    choices: [
      '0-9',
      '10-19',
      '20-29',
      '30-39',
      '40-49',
      '50-59',
      'more than 70 & "older" </article>',
    ],
  },
];
interface Facts {
  readonly wide: number;
  readonly broken: number;
  readonly outside: number;
  readonly back: string;
}
/** Runs in the page. */
const FACTS = `({
  wide: document.documentElement.scrollWidth,
  broken: [...document.images].filter(({ complete, naturalWidth }) => complete && naturalWidth === 0).length,
  outside: [...document.querySelectorAll('article *')].filter(
    (one) => one.getBoundingClientRect().right > one.closest('article').getBoundingClientRect().right + 1,
  ).length,
  back: getComputedStyle(document.body).backgroundColor,
})`;
const EVIL = '<img src=x onerror=alert(1)> & "co".jpg';

describe('contact sheet', function () {
  this.timeout(120_000);
  let folder: string;
  const at = (...names: string[]): string => join(folder, ...names);
  const options = (more: Partial<AnnotateOptions> = {}): AnnotateOptions => ({
    ...{ input: at('pictures'), output: at('out.jsonl'), model: annotatingStub() },
    ...{ questions: QUESTIONS, environment: {}, sheet: at('sheet.html'), ...more },
  });
  const sheet = (): string => readFileSync(at('sheet.html'), 'utf8');
  /** Names of the cards, as they stand. */
  const cards = (html: string): string[] =>
    [...html.matchAll(/<h2>(.*?)<\/h2>/g)].map(([, name = '']) =>
      name
        .replaceAll('&lt;', '<')
        .replaceAll('&gt;', '>')
        .replaceAll('&quot;', '"')
        .replaceAll('&amp;', '&'),
    );

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-sheet-'));
    mkdirSync(at('pictures'));
    const names = ['A000014', 'A000109', 'A000360', 'A000055'];
    for (const name of names) {
      const from = join(FACES, 'congress', `${name}.jpg`);
      if (existsSync(from)) cpSync(from, at('pictures', `${name}.jpg`));
    }
    cpSync(join(FACES, 'congress', 'A000014.jpg'), at('pictures', EVIL));
    writeFileSync(at('pictures', 'words.jpg'), 'words');
    await annotate(options());
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('holds all rows that have answers, the least sure first, and counts the others', () => {
    const rows = readFileSync(at('out.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as AnnotationRow);
    const asked = rows.filter(({ status }) => status === 'ok');
    const expected = [...asked].sort((a, b) => surenessOf(a) - surenessOf(b));
    assert.deepEqual(cards(sheet()), expected.map(({ file }) => file)); // prettier-ignore
    assert.match(
      sheet(),
      new RegExp(`All ${asked.length} rows.*Rows without answers, not shown: 1`),
    );
    assert.equal(surenessOf(rows.find(({ status }) => status !== 'ok') as AnnotationRow), Infinity);
  });

  it('the first N are the same; the same run with another number asks nothing again', async () => {
    const all = cards(sheet());
    const model = annotatingStub(() => assert.fail('asked again'));
    await annotate(options({ sheetRows: 2, model, sheet: at('two.html') }));
    assert.deepEqual(cards(readFileSync(at('two.html'), 'utf8')), all.slice(0, 2));
  });

  it('is self-contained and escaped: pictures are data, no script, nothing fetched', () => {
    const html = sheet();
    assert.doesNotMatch(html, /<script|onerror=alert\(1\)>|<b>smiling|https?:|url\(|<\/article>"/);
    assert.match(html, /default-src 'none'; style-src 'unsafe-inline'; img-src data:/);
    const sources = [...html.matchAll(/<img src="([^"]*)"/g)].map(([, source = '']) => source);
    assert.ok(sources.length >= 4);
    for (const source of sources) {
      assert.match(source, /^data:image\/jpeg;base64,/);
      assert.ok(source.length < 60_000, `${source.length} bytes`);
    }
    for (const [, width = ''] of html.matchAll(/width:([\d.]+)%/g)) assert.ok(Number(width) <= 100);
  });

  it('a picture that has changed or gone since is not shown', async () => {
    writeFileSync(
      at('pictures', 'A000014.jpg'),
      readFileSync(join(FACES, 'congress', 'A000109.jpg')),
    );
    rmSync(at('pictures', 'A000109.jpg'));
    rmSync(at('pictures', EVIL));
    mkdirSync(at('pictures', EVIL));
    // Its rows stay as they were answered.
    await annotate(options({ sheet: at('later.html'), changed: 'keep' }));
    const html = readFileSync(at('later.html'), 'utf8');
    assert.match(html, /the file has changed since/);
    assert.equal(html.match(/the file is not there any more/g)?.length, 1);
    assert.match(html, /cannot be shown \(EISDIR\)/);
    rmSync(at('pictures', EVIL), { recursive: true });
    cpSync(join(FACES, 'congress', 'A000014.jpg'), at('pictures', EVIL));
    cpSync(join(FACES, 'congress', 'A000014.jpg'), at('pictures', 'A000014.jpg'));
    cpSync(join(FACES, 'congress', 'A000109.jpg'), at('pictures', 'A000109.jpg'));
  });

  it('of open answers alone: by the probabilities of values, else the first rows', async () => {
    const row = (file: string, more: Partial<AnnotationRow>): AnnotationRow => ({
      ...{ file, sha256: null, width: 1, height: 1, facesFound: 1, face: null },
      ...{ status: 'ok', error: null, answers: {}, ...more },
    });
    const made = async (
      fields: readonly AnnotationField[],
      rows: readonly AnnotationRow[],
    ): Promise<string> => {
      const path = at('open.html');
      const open = new Sheet({ path, most: 2, root: at('pictures'), fields });
      for (const one of rows) open.write(one);
      await open.commit();
      return readFileSync(path, 'utf8');
    };
    const value = (probability: number | null) => ({ hair: { value: 'dark', probability } });
    const failed = row('none', { status: 'model-error' });
    const values = await made(
      [{ kind: 'string', name: 'hair', path: '/hair' }],
      [row('sure', { values: value(0.9) }), failed, row('unsure', { values: value(0.25) }), row('list', { values: value(null) })], // prettier-ignore
    );
    assert.deepEqual(cards(values), ['unsure', 'sure']);
    assert.match(
      values,
      /2 of 3 rows, the least sure first: by the smallest probability[^]*not shown: 1\./,
    );
    assert.match(values, /hair <span class="none">\(25\.0 %\)/);
    const texts = { said: { text: 'A person.', finish: 'stop' } };
    const written = await made(
      [{ kind: 'text', name: 'said', question: 'What?' }],
      ['one', 'two', 'three'].map((file) => row(file, { texts })),
    );
    assert.deepEqual(cards(written), ['one', 'two']);
    assert.match(written, /2 of 3 rows, in the order of the table/);
  });

  it('a name of another kind is refused', async () => {
    await assert.rejects(
      async () => annotate(options({ sheet: 'sheet.pdf', sheetRows: 0 })),
      /sheetRows/,
    );
    await assert.rejects(async () => annotate(options({ sheet: 'sheet.pdf' })), /ends in .html/);
  });

  it('fits 400 and 1,200 pixels, light and dark', async function () {
    const browser = await launchChromium(this);
    try {
      for (const width of [400, 1200]) {
        for (const colorScheme of ['light', 'dark'] as const) {
          const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme });
          await page.goto(pathToFileURL(at('sheet.html')).href);
          const facts = await page.evaluate<Facts>(FACTS);
          assert.ok(facts.wide <= width, `${facts.wide} of ${width}`);
          assert.deepEqual([facts.broken, facts.outside], [0, 0]);
          assert.equal(
            facts.back,
            colorScheme === 'dark' ? 'rgb(20, 23, 27)' : 'rgb(244, 245, 247)',
          );
          if (SHOTS !== undefined) {
            await page.screenshot({
              path: join(SHOTS, `sheet-${width}-${colorScheme}.png`),
              fullPage: width > 400,
            });
          }
          await page.close();
        }
      }
    } finally {
      await browser.close();
    }
  });
});
