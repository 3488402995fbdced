/** The pieces of a report: numbers, escaping, plots. */
import assert from 'node:assert/strict';

import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import sharp from 'sharp';
import type { ChartSpec } from '../../lib/evaluation/report/charts/theme.js';

import { tmrAtFmr } from '../../lib/evaluation/metrics/operating-points.js';
import { rocCurve } from '../../lib/evaluation/metrics/roc.js';
import { confusionSpecs } from '../../lib/evaluation/report/charts/confusion.js';
import { groupsSpec } from '../../lib/evaluation/report/charts/groups.js';
import { radarSpec } from '../../lib/evaluation/report/charts/radar.js';
import { reliabilitySpecs } from '../../lib/evaluation/report/charts/reliability.js';
import { renderSvg } from '../../lib/evaluation/report/charts/render.js';
import { rocSpec } from '../../lib/evaluation/report/charts/roc.js';
import { scoresSpecs } from '../../lib/evaluation/report/charts/scores.js';
import { csvOf } from '../../lib/evaluation/report/csv.js';
import {
  formatDifference,
  formatEstimate,
  formatPValue,
  roundedJson,
} from '../../lib/evaluation/report/numbers.js';
import { htmlOf } from '../../lib/evaluation/report/html.js';
import { escapeHtml } from '../../lib/sheet/index.js';
import { escapeMarkdown, markdownOf } from '../../lib/evaluation/report/markdown.js';

const HOSTILE = '<b>&"\'|`*_[x](y)\n# z';

describe('numbers in reports', () => {
  it('are written alike everywhere', () => {
    assert.equal(formatEstimate({ value: 0.5, low: 0.25, high: 1 }), '0.500 (0.250–1.000)');
    assert.equal(formatEstimate({ value: 0.5 }), '0.500');
    assert.equal(formatEstimate(undefined), '–');
    assert.deepEqual([0.1, -0.1, 0].map(formatDifference), ['+0.100', '−0.100', '0.000']);
    assert.deepEqual([0.0009, 0.001, 1].map(formatPValue), ['< 0.001', '0.001', '1.000']);
    assert.equal(roundedJson({ a: 1 / 3, b: Infinity }), '{\n  "a": 0.333333,\n  "b": null\n}\n');
  });
});

describe('text in reports', () => {
  it('CSV reads back as it was, whatever it holds', () => {
    const cells = fc.array(fc.array(fc.string({ unit: 'binary' }), { minLength: 2, maxLength: 2 }));
    fc.assert(
      fc.property(cells, (rows) => {
        const text = csvOf(['a', 'b'], rows);
        const read = parse(text, { relax_column_count: true, record_delimiter: '\n' });
        assert.deepEqual(read, [['a', 'b'], ...rows]);
      }),
    );
  });

  it('HTML has no character left that could begin markup', () => {
    fc.assert(fc.property(fc.string(), (text) => !/[<>"']|&(?!(amp|lt|gt|quot|#39);)/.test(escapeHtml(text)))); // prettier-ignore
  });

  it('a hostile text stays text in every block', () => {
    const blocks = [
      { kind: 'heading', level: 2, text: HOSTILE },
      { kind: 'paragraph', text: HOSTILE },
      { kind: 'warning', text: HOSTILE },
      { kind: 'list', items: [HOSTILE] },
      {
        kind: 'table',
        columns: [{ title: HOSTILE, isNumeric: true }],
        rows: [{ cells: [HOSTILE], isMuted: true }],
        summary: HOSTILE,
      },
      { kind: 'figure', name: 'x', svg: '<svg id="a"></svg>', alt: HOSTILE, caption: HOSTILE },
    ] as const;
    const html = htmlOf({ title: HOSTILE, blocks });
    assert.ok(!html.includes('<b>'));
    assert.equal(html.split('&lt;b&gt;&amp;&quot;&#39;|').length - 1, 11);
    assert.ok(html.includes('id="x-a"'));
    const markdown = markdownOf({ title: HOSTILE, blocks }, 'plots');
    assert.ok(!markdown.includes('<b>') && !/^# z/m.test(markdown) && !markdown.includes('[x]('));
    assert.equal(escapeMarkdown('a_b _c_ x|y'), 'a_b \\_c\\_ x\\|y');
  });
});

describe('plots in reports', () => {
  const models = ['base <i>', 'tuned & "co"'];
  const pairs = Array.from({ length: 1500 }, (_, i) => ({
    ...{ score: ((i * 7919) % 1500) / 1500, isGenuine: i % 3 === 0 },
  }));
  const roc = rocCurve(pairs);
  const operatingPoints = [0.1, 0.01, 0.001].flatMap((fmr) => tmrAtFmr(roc, fmr) ?? []);
  const bins = [
    { low: 0, high: 0.5, count: 4, correct: 1, meanConfidence: 0.4, accuracy: 0.25 },
    { low: 0.5, high: 1, count: 0, correct: 0, meanConfidence: undefined, accuracy: undefined },
  ];
  const point = { count: 40, isSmall: false, value: 0.5, low: 0.4, high: 0.6 };
  const long = 'a name of a group that is much too long for any axis of a plot, whoever reads it';
  const groups = [long, `${long}!`, 'b', 'c'].flatMap((group, i) =>
    models.map((model) => ({ ...point, group, model, isSmall: i === 3, count: i === 3 ? 2 : 40 })),
  );
  const matrix = { counts: [[3, 0], [1, 9]], unread: [2, 0], total: 15 }; // prettier-ignore
  const specs: Readonly<Record<string, readonly [ChartSpec, ...string[]]>> = {
    reliability: [
      reliabilitySpecs(models.map((model) => ({ model, ece: 0.15, bins })))[0] ?? {},
      ...['accuracy', 'confidence', 'n', 'base &lt;i&gt;, ECE 0.150'],
    ],
    confusion: [
      confusionSpecs(['unread', '<x>'], models.map((model) => ({ model, matrix })))[0] ?? {}, // prettier-ignore
      ...['label', 'answer', 'unread (1)', 'unread', '&lt;x&gt;', 'share of the label'],
    ],
    groups: [
      groupsSpec({ points: groups, models, title: 'accuracy', overall: [{ model: models[0] ?? '', value: 0.5 }] }), // prettier-ignore
      ...['accuracy', 'b (n=40)', 'c (n=2)', 'tuned &amp; "co"'],
    ],
    'groups beside published figures': [
      groupsSpec({
        ...{ points: groups, models, title: 'accuracy', overall: [] },
        published: { names: ['Paper-1B'], values: [{ group: 'b', name: 'Paper-1B', value: 0.7 }] },
      }),
      ...['accuracy', 'Paper-1B', 'b (n=40)'],
    ],
    radar: [
      radarSpec({
        categories: ['one_thing', 'two', 'three'],
        lines: models.map((model, i) => ({ model, values: [0.5, 0.2 * i, 1] })),
        published: [{ model: 'Paper-1B', values: [0.4, undefined, 0.3] }],
      }),
      ...['one', 'thing', 'three', '75 %', 'Paper-1B', 'base &lt;i&gt;'],
    ],
    roc: [
      rocSpec(models.map((model) => ({ model, roc, operatingPoints }))), // prettier-ignore
      ...['true match rate', 'false match rate (logarithmic)', '0.1%', '100%'],
    ],
    scores: [
      scoresSpecs(models.map((model) => ({ model, pairs })))[0] ?? {}, // prettier-ignore
      ...['same person', 'different people', 'share of pairs'],
    ],
  };
  for (const [name, [spec, ...texts]] of Object.entries(specs)) {
    it(`${name}: titles and marks are there, the same each time, and it is a picture`, async () => {
      const svg = await renderSvg(spec);
      for (const text of texts) assert.ok(svg.includes(`>${text}<`), text);
      assert.ok(!/NaN|undefined|Infinity|<i>/.test(svg));
      assert.equal(await renderSvg(spec), svg);
      const { channels } = await sharp(Buffer.from(svg)).stats();
      assert.ok(channels.some(({ stdev }) => stdev > 1));
    });
  }

  it('tells groups apart whose names differ only where they are cut', async () => {
    const svg = await renderSvg(specs['groups']?.[0] as ChartSpec);
    const labels = [...svg.matchAll(/>(a name of a group[^<]*)</g)].map(([, label]) => label);
    assert.equal(new Set(labels).size, 2);
  });
});
