/** The demo's report from given figures: self-contained, whole, escaped, and honest about what is wrong. */
import assert from 'node:assert/strict';

import type { AttributeFigures, Estimate, GroupFigures } from '../../examples/demo/figures.js';
import { smoothed } from '../../examples/demo/report/charts.js';
import { pageOf } from '../../examples/demo/report/page.js';
import { ticks } from '../../examples/demo/report/plot.js';
import type { ReportData } from '../../examples/demo/report/report-data.js';
import { gapRows, scoreRows } from '../../examples/demo/summary.js';
import { smooth } from '../../lib/training/run/curve-series.js';
import { outlineOf, textOf } from '../support/html-outline.js';

const HOSTILE = '<script>alert("1")</script> & \'x\'';

function estimate(value: number): Estimate {
  return { value, low: value - 0.1, high: value + 0.05 };
}

function reading(value: number): AttributeFigures['after']['text'] {
  return { balancedAccuracy: estimate(value), accuracy: estimate(value), unread: 3 };
}

function group(by: string, name: string, value: number): GroupFigures {
  return { by, group: name, pictures: 12, accuracy: estimate(value) };
}

const GENDER: AttributeFigures = {
  attribute: 'gender',
  pictures: 96,
  people: 78,
  chance: 0.5,
  before: { probability: reading(0.511), text: reading(0) },
  after: { probability: reading(0.943), text: reading(0.931) },
  ece: 0.04,
  reliability: [
    { low: 0.8, high: 0.9, count: 0, correct: 0, accuracy: null, meanConfidence: null },
    { low: 0.9, high: 1, count: 7, correct: 6, accuracy: 6 / 7, meanConfidence: 0.95 },
  ],
  groups: [
    group('source', 'congress', 0.9),
    group('source', 'london', 0.7),
    group('age', '20-29', 0.8),
  ],
};

const DATA: ReportData = {
  format: 'facellm-demo-1',
  isQuick: false,
  seed: 7,
  madeAt: '2026-11-25',
  machine: {
    ...{ processor: HOSTILE, cores: 2, memoryGigabytes: 24, system: 'linux 6' },
    ...{ node: 'v24.0.0', facellm: '0.1.0' },
  },
  data: { pictures: 658, people: 594, pairs: 1444, question: 'Who?', answer: HOSTILE },
  model: { parameters: 1_140_000, vocabularySize: 372 },
  training: { steps: 3, seconds: 300, losses: [1, 2, 3].map((step) => ({ step, loss: 4 - step })) },
  figures: [GENDER, { ...GENDER, attribute: 'smile', groups: [] }],
  faces: [
    {
      file: 'congress/a.jpg',
      answers: [
        {
          ...{ attribute: 'gender', question: 'What gender? Answer Male or Female.' },
          ...{ answer: HOSTILE, truth: 'Male' },
          choices: [
            { text: 'Male', probability: 0.75 },
            { text: 'Female', probability: 0.25 },
          ],
        },
        {
          ...{ attribute: 'smile', question: 'Smiling? Answer.', answer: 'smiling' },
          choices: [
            { text: 'smiling', probability: 1 },
            { text: 'not smiling', probability: 0 },
          ],
        },
      ],
    },
  ],
  faceRule: 'the first of all',
  test: {
    people: 2,
    pictures: [
      {
        file: 'congress/a.jpg',
        answers: [{ attribute: 'gender', answer: 'Male', truth: 'Male', probability: 0.75 }],
      },
      {
        file: 'london/b.jpg',
        answers: [
          { attribute: 'gender', answer: 'Male', truth: 'Female', probability: 0.6 },
          { attribute: 'smile', answer: 'smiling', truth: 'smiling', probability: 0.6 },
        ],
      },
    ],
  },
  commands: [`npx facellm ask a.jpg '${HOSTILE}'`],
  realCommands: ['npx facellm train'],
};
const PICTURES = new Map([
  ['congress/a.jpg', 'data:image/jpeg;base64,AAAA'],
  ['london/b.jpg', 'data:image/jpeg;base64,BBBB'],
]);

describe('unit: report of the demo', () => {
  const page = pageOf(DATA, PICTURES);
  const elements = outlineOf(page);
  const text = textOf(page);

  it('is one file without scripts and outside requests', () => {
    const names = new Set(elements.map(({ name }) => name));
    for (const name of ['script', 'link', 'iframe', 'object']) assert.ok(!names.has(name), name);
    for (const { attributes } of elements) {
      for (const [key, value] of Object.entries(attributes)) {
        assert.doesNotMatch(key, /^on/);
        if (key === 'src' || key === 'href') assert.match(value, /^data:image\/jpeg;base64,/);
      }
    }
    assert.doesNotMatch(page, /url\(|@import/);
    assert.ok(
      elements.some(({ attributes }) => attributes['content']?.includes("default-src 'none'")),
    );
  });

  it('escapes whatever it is given', () => {
    assert.ok(!page.includes('<script'));
    // Processor, example, generated answer, command.
    assert.equal(text.split(HOSTILE).length - 1, 4);
  });

  it('shows every picture, told in words', () => {
    const images = elements.filter(({ name }) => name === 'img');
    assert.equal(images.length, 3);
    const alts = images.map(({ attributes }) => attributes['alt'] ?? '');
    assert.match(alts[0] ?? '', /portrait 1 of five, from the congress set/);
    assert.deepEqual(alts.slice(1), [
      'congress/a.jpg: all right',
      'london/b.jpg: wrong on gender Male, is Female',
    ]);
    for (const { attributes } of elements.filter(({ name }) => name === 'svg')) {
      assert.equal(attributes['role'], 'img');
      assert.ok((attributes['aria-label'] ?? '').length > 20);
    }
  });

  it('marks what is wrong, in answers and in pictures', () => {
    assert.match(text, /✗ wrong: Male/);
    assert.match(text, /smiling ” ?|not labelled/);
    const framed = elements.filter(({ attributes }) => attributes['class'] === 'picture has-wrong');
    assert.equal(framed.length, 1);
    assert.match(text, /Wrong: gender 1 of 2, smile 0 of 1\./);
  });

  it('holds the figures with intervals and counts', () => {
    for (const part of [
      '0.943 (0.84–0.99)',
      '0.931 (0.83–0.98)',
      '0.511 (0.41–0.56)',
      '78',
      '96',
    ]) {
      assert.ok(text.includes(part), part);
    }
    assert.match(text, /gender : by source 0\.20 \(london\)/);
    assert.match(text, /smile : one group only/);
    assert.match(text, /5\.0 minutes/);
    assert.match(text, /seed 7/);
  });

  it('says of a smoke test that it is one, and of a real run nothing of the kind', () => {
    assert.match(textOf(pageOf({ ...DATA, isQuick: true }, PICTURES)), /scores mean nothing/);
    assert.doesNotMatch(text, /smoke test/);
  });

  it('smooths as the plot of the run does', () => {
    const losses = Array.from({ length: 30 }, (_, i) => ({ step: i, loss: Math.sin(i) + 2 }));
    assert.deepEqual(
      smoothed(losses).map(({ loss }) => loss),
      smooth(losses.map(({ loss }) => loss)),
    );
  });

  it('finds round numbers for an axis', () => {
    assert.deepEqual(ticks(6.2, 4), [0, 2, 4, 6]);
    assert.deepEqual(ticks(950, 6), [0, 200, 400, 600, 800]);
    assert.deepEqual(ticks(0.1, 4).length, 3);
  });

  it('tells the same figures on the screen', () => {
    assert.deepEqual(scoreRows([GENDER])[1], [
      ...['gender', '78', '96', '0.500', '0.511', '0.943 (0.84–0.99)', '0.931'],
    ]);
    assert.deepEqual(gapRows([GENDER]).slice(1), [
      ['gender', 'source', '0.20', 'congress 0.90 (12)', 'london 0.70 (12)'],
    ]);
  });
});
