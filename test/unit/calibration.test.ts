/** Temperatures: the fit against a plain search, folds that no label leaks through, the file and what it refuses. */
import assert from 'node:assert/strict';

import fc from 'fast-check';

import { parseCalibration } from '../../lib/calibration/calibration-file.js';
import { crossFitted, foldOf } from '../../lib/calibration/cross-fit.js';
import { type AskedHow, Calibration, type CalibrationFile } from '../../lib/calibration/index.js';
import { FaceLlmError } from '../../lib/errors.js';
import {
  fitTemperature,
  type LabelledScores,
  LEAST,
  likelihoodLoss,
  MOST,
  sharesAt,
} from '../../lib/calibration/temperature.js';

/** Items whose labels are drawn from their scores at a temperature: what is fitted is that temperature. */
function drawn(temperature: number, count: number): LabelledScores[] {
  let state = 1;
  const uniform = (): number => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
  return Array.from({ length: count }, () => {
    const logProbs = [0, 0, 0].map(() => 8 * uniform());
    let left = uniform();
    const label = sharesAt(logProbs, temperature).findIndex((share) => (left -= share) < 0);
    return { logProbs, label: Math.max(0, label) };
  });
}

const lossAt = (items: readonly LabelledScores[], temperature: number): number =>
  likelihoodLoss(items.map((item) => ({ ...item, temperature }))) ?? NaN;

/** The loss that is fitted: one label in n + 2 is another than it says, the likeliest. */
function doubtedLossAt(items: readonly LabelledScores[], temperature: number): number {
  const others = items.map(({ logProbs, label }) => {
    const best = Math.max(...logProbs.filter((_, i) => i !== label));
    return { logProbs, label: logProbs.indexOf(best) };
  });
  const doubt = 1 / (items.length + 2);
  return (1 - doubt) * lossAt(items, temperature) + doubt * lossAt(others, temperature);
}

function thrownBy(run: () => unknown): FaceLlmError {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof FaceLlmError);
    return error;
  }
  throw new Error('nothing was thrown');
}

const HASH = 'a'.repeat(64);
const FIGURES = {
  count: 40,
  accuracy: 0.5,
  ece: { before: 0.2, after: 0.1 },
  nll: { before: 1, after: 0.9 },
};
const FILE: CalibrationFile = {
  format: 'facellm-calibration-1',
  facellm: '0.0.0',
  fingerprint: 'a'.repeat(12),
  model: { checkpoint: HASH, adapters: [], dtype: 'bf16', weights: 'stored' },
  form: {
    template: 'hub',
    system: '',
    tiles: '1..12',
    limitsImageArea: false,
    applyExif: true,
    faces: 'off',
  },
  data: { benchmark: 'attributes', sha256: HASH, pictures: 40 },
  folds: 5,
  seed: 0,
  questions: [
    {
      ...{ name: 'smile', question: 'Smiling?', choices: ['Yes', 'No'], temperature: 2 },
      ...{ isAtBound: false, groups: [], ...FIGURES },
    },
  ],
};
const HOW: AskedHow = { model: FILE.model, form: FILE.form };
const SMILE = { question: 'Smiling?', choices: ['Yes', 'No'] };

describe('calibration', () => {
  it('shares of a temperature add up to 1, keep the order, and are the own ones at 1', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: -800, max: 0, noNaN: true }), { minLength: 2, maxLength: 9 }),
        fc.double({ min: LEAST, max: MOST, noNaN: true }),
        (logProbs, temperature) => {
          const shares = sharesAt(logProbs, temperature);
          const sum = shares.reduce((a, b) => a + b, 0);
          assert.ok(Math.abs(sum - 1) < 1e-9);
          const top = logProbs.indexOf(Math.max(...logProbs));
          assert.equal(shares[top], Math.max(...shares));
        },
      ),
    );
    assert.deepEqual(
      sharesAt([Math.log(0.25), Math.log(0.75)], 1).map((p) => p.toFixed(9)),
      ['0.250000000', '0.750000000'],
    );
    // Of answers that the model rules out nothing becomes NaN.
    assert.deepEqual(sharesAt([0, -Infinity], 1), [1, Math.exp(Math.log(Number.MIN_VALUE))]);
  });

  for (const temperature of [0.4, 1, 2.5]) {
    it(`finds ${temperature}, from which labels were drawn, as a plain search does`, () => {
      const items = drawn(temperature, 3000);
      const fitted = fitTemperature(items);
      assert.equal(fitted.isAtBound, false);
      assert.ok(
        Math.abs(Math.log(fitted.temperature / temperature)) < 0.1,
        String(fitted.temperature),
      );
      const grid = Array.from({ length: 265 }, (_, i) => 0.1 * 1.02 ** i);
      const losses = grid.map((t) => doubtedLossAt(items, t));
      const least = Math.min(...losses);
      const best = grid[losses.indexOf(least)] ?? NaN;
      assert.ok(Math.abs(Math.log(fitted.temperature / best)) < 0.021);
      assert.ok(doubtedLossAt(items, fitted.temperature) <= least + 1e-12);
    });
  }

  it('takes labels that are all right for one error in two more than they are', () => {
    for (const [margin, count] of [
      [1, 1],
      [3, 59],
      [0.5, 1000],
    ] as const) {
      const right = { logProbs: [-0.1, -0.1 - margin, -40, -Infinity], label: 0 };
      const fitted = fitTemperature(Array.from({ length: count }, () => right));
      assert.equal(fitted.isAtBound, false);
      const [first = 0, second = 0] = sharesAt(right.logProbs, fitted.temperature);
      const error = 1 / (count + 2);
      assert.ok(
        Math.abs(second / (first + second) - error) < 0.01 * error,
        String(fitted.temperature),
      );
    }
    // Where all others are ruled out, nothing tells of a temperature; beside others such items change none.
    const certain = Array.from({ length: 50 }, () => ({ logProbs: [0, -Infinity], label: 0 }));
    assert.deepEqual(fitTemperature(certain), { temperature: 1, isAtBound: false });
    const items = drawn(2.5, 200);
    assert.deepEqual(fitTemperature([...certain, ...items]), fitTemperature(items));
  });

  it('says so where labels ask for more than is fitted', () => {
    const alike = Array.from({ length: 1000 }, () => ({ logProbs: [0, -0.1], label: 0 }));
    assert.deepEqual(fitTemperature(alike), { temperature: LEAST, isAtBound: true });
    const wrong = [{ logProbs: [0, -1], label: 1 }];
    assert.deepEqual(fitTemperature(wrong), { temperature: MOST, isAtBound: true });
    assert.deepEqual(fitTemperature([]), { temperature: 1, isAtBound: false });
    assert.equal(likelihoodLoss([]), undefined);
    // A label that the model ruled out costs much, not infinity.
    const ruledOut = likelihoodLoss([{ logProbs: [0, -Infinity], label: 1, temperature: 1 }]) ?? 0;
    assert.ok(ruledOut > 700 && ruledOut < 800);
  });

  it('no label has a part in the temperature that its own item is scaled by', () => {
    const items = drawn(2, 200).map((item, i) => ({ ...item, unit: `picture ${i}` }));
    const before = crossFitted(items, 5, 0);
    for (const changed of [0, 57, 199]) {
      const others = items.map((item, i) =>
        i === changed ? { ...item, label: (item.label + 1) % 3 } : item,
      );
      const after = crossFitted(others, 5, 0);
      const fold = foldOf(`picture ${changed}`, 5, 0);
      assert.equal(after[changed], before[changed]);
      const elsewhere = items.findIndex(({ unit }) => foldOf(unit, 5, 0) !== fold);
      assert.notEqual(after[elsewhere], before[elsewhere]);
    }
    // Two questions of a picture share its fold, and the seed deals anew.
    assert.equal(foldOf('a', 5, 0), foldOf('a', 5, 0));
    const seeds = [0, 1, 2, 3, 4, 5, 6, 7].map((seed) => foldOf('a', 5, seed));
    assert.ok(new Set(seeds).size > 1);
  });

  describe('the file', () => {
    const text = (change: object): string => JSON.stringify({ ...FILE, ...change });
    it('is read back as it was written', () => {
      assert.deepEqual(parseCalibration(JSON.stringify(FILE), 'c.json'), FILE);
    });

    const [first] = FILE.questions;
    const faults: readonly (readonly [string, string, RegExp])[] = [
      ['no JSON', '{', /^c\.json is not JSON/],
      ['another format', text({ format: 'x' }), /format: expected facellm-calibration-1/],
      ['a field more', text({ note: 1 }), /note: there is no such field/],
      ['no questions', text({ questions: [] }), /questions: expected a list/],
      [
        'a temperature of 0',
        text({ questions: [{ ...first, temperature: 0 }] }),
        /questions\[0\]\.temperature: expected a number of 0\.05\.\.20, received 0/,
      ],
      [
        'one question twice, with its answers in another order',
        text({ questions: [first, { ...first, choices: ['No', 'Yes'] }] }),
        /questions\[1\]: smile is asked by an earlier one, too/,
      ],
    ];
    for (const [what, content, message] of faults) {
      it(`is refused with ${what}`, () => {
        const error = thrownBy(() => parseCalibration(content, 'c.json'));
        assert.equal(error.code, 'FACELLM_CALIBRATION_INVALID');
        assert.match(error.message, message);
      });
    }
  });

  it('scales answers in any order, and never changes which is first', () => {
    const calibration = new Calibration('c.json', FILE, HASH);
    const [yes = 0, no = 0] = calibration.apply(SMILE, [-1, -3]).probabilities;
    assert.ok(Math.abs(yes - 1 / (1 + Math.exp(-1))) < 1e-12 && Math.abs(yes + no - 1) < 1e-12);
    const turned = calibration.apply({ ...SMILE, choices: ['No', 'Yes'] }, [-3, -1]);
    assert.deepEqual(turned, { probabilities: [no, yes], temperature: 2 });
  });

  const others: readonly (readonly [string, () => void, RegExp])[] = [
    [
      'another checkpoint',
      check({ checkpoint: 'b'.repeat(64) }),
      /checkpoint: fitted with aaaaaaaaaaaa, now bbbbbbbbbbbb/,
    ],
    [
      'an adapter',
      check({ adapters: [{ name: 'smiles', hash: 'c'.repeat(64) }] }),
      /adapters: fitted with none, now smiles \(cccccccccccc\)/,
    ],
    ['another dtype', check({ dtype: 'fp32' }), /dtype: fitted with bf16, now fp32/],
    [
      'other weights',
      check({ weights: 'text int8' }),
      /weights: fitted with stored, now text int8/,
    ],
    ['another form', check({}, { tiles: '1..1' }), /tiles: fitted with "1..12", now "1..1"/],
    [
      'another question',
      check({}, {}, { ...SMILE, question: 'Sad?' }),
      /"Sad\?": not in it, which has "Smiling\?"/,
    ],
    [
      'other answers',
      check({}, {}, { ...SMILE, choices: ['Yes', 'Maybe'] }),
      /"Smiling\?": fitted with the answers Yes, No, now Yes, Maybe/,
    ],
  ];
  for (const [what, run, message] of others) {
    it(`is refused by name for ${what}`, () => {
      const error = thrownBy(run);
      assert.equal(error.code, 'FACELLM_CALIBRATION_MISMATCH');
      assert.match(error.message, message);
    });
  }
  it('is taken for what it was fitted on, whatever an adapter is called now', () => {
    check({})();
    const adapted = { ...FILE, model: { ...FILE.model, adapters: [{ name: 'a', hash: HASH }] } };
    const model = { ...FILE.model, adapters: [{ name: 'b', hash: HASH }] };
    new Calibration('c.json', adapted, HASH).check([SMILE], { ...HOW, model });
  });

  function check(
    model: Partial<CalibrationFile['model']>,
    form: Partial<CalibrationFile['form']> = {},
    asked = SMILE,
  ): () => void {
    const how = { model: { ...FILE.model, ...model }, form: { ...FILE.form, ...form } };
    return () => new Calibration('c.json', FILE, HASH).check([asked], how);
  }
});
