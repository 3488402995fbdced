/** lib/evaluation/metrics where data are few, tied or one-sided, and properties that hold of all data. */
import assert from 'node:assert/strict';

import fc from 'fast-check';

import { calibration } from '../../lib/evaluation/metrics/calibration.js';
import {
  balancedAccuracy,
  confusionMatrix,
  correctCount,
  macroF1,
  withinBinsCount,
} from '../../lib/evaluation/metrics/classification.js';
import { largestGap } from '../../lib/evaluation/metrics/groups.js';
import {
  classificationIntervals,
  equalErrorRateInterval,
} from '../../lib/evaluation/metrics/intervals.js';
import { mcNemar } from '../../lib/evaluation/metrics/mcnemar.js';
import { equalErrorRate, tmrAtFmr } from '../../lib/evaluation/metrics/operating-points.js';
import { randomIntegers } from '../../lib/evaluation/metrics/random.js';
import { areaUnderRoc, rocCurve } from '../../lib/evaluation/metrics/roc.js';
import { wilsonInterval } from '../../lib/evaluation/metrics/wilson.js';
import { groupItems } from '../../lib/evaluation/paired/groups.js';

const CLASSES = 4;
const items = fc.array(
  fc.record({
    truth: fc.nat({ max: CLASSES - 1 }),
    predicted: fc.option(fc.nat({ max: CLASSES - 1 }), { nil: undefined }),
  }),
  { minLength: 1, maxLength: 60 },
);
const pairs = fc.array(
  // Few different scores, so that most tie.
  fc.record({ score: fc.integer({ min: -3, max: 3 }), isGenuine: fc.boolean() }),
  { maxLength: 40 },
);

describe('metrics of no items', () => {
  it('are undefined, and intervals are as wide as can be', () => {
    const matrix = confusionMatrix([], 3);
    assert.equal(balancedAccuracy(matrix), undefined);
    assert.equal(macroF1(matrix), undefined);
    assert.equal(calibration([]).ece, undefined);
    assert.equal(calibration([]).bins.length, 10);
    assert.deepEqual(wilsonInterval(0, 0), { low: 0, high: 1 });
    assert.deepEqual(mcNemar(0, 0), {
      statistic: 0,
      pValue: 1,
      isExact: true,
    });
    assert.deepEqual(classificationIntervals(matrix, { seed: 1 }), {
      balancedAccuracy: undefined,
      macroF1: undefined,
    });
    assert.equal(equalErrorRateInterval([], { seed: 1 }), undefined);
  });

  for (const isGenuine of [true, false]) {
    it(`a ROC curve of ${isGenuine ? 'genuine' : 'impostor'} pairs only has no points`, () => {
      const roc = rocCurve([{ score: 1, isGenuine }]);
      assert.deepEqual(roc.points, []);
      assert.equal(equalErrorRate(roc), undefined);
      assert.equal(areaUnderRoc(roc), undefined);
      assert.equal(tmrAtFmr(roc, 0.1), undefined);
    });
  }
});

describe('metrics of one-sided data', () => {
  it('of a single class: balanced accuracy is its recall; a false alarm class counts in macro-F1', () => {
    const matrix = confusionMatrix(
      [
        { truth: 1, predicted: 1 },
        { truth: 1, predicted: 1 },
        { truth: 1, predicted: 0 },
        { truth: 1, predicted: undefined },
      ],
      3,
    );
    assert.equal(balancedAccuracy(matrix), 0.5);
    // Class 1: 2·2/(4 + 2); class 0: 0; class 2 neither occurs nor was predicted.
    assert.equal(macroF1(matrix), (4 / 6 + 0) / 2);
  });

  it('all unread is all wrong', () => {
    const matrix = confusionMatrix([{ truth: 0, predicted: undefined }], 2);
    assert.deepEqual([correctCount(matrix), balancedAccuracy(matrix), macroF1(matrix)], [0, 0, 0]);
    assert.equal(withinBinsCount(confusionMatrix([{ truth: 0, predicted: undefined }], 1), 1), 0);
  });

  it('scores that all tie: EER one half, no match is possible at a small FMR', () => {
    const tied = [true, true, false].map((isGenuine) => ({ score: 0.5, isGenuine }));
    const roc = rocCurve(tied);
    assert.equal(equalErrorRate(roc), 0.5);
    assert.equal(areaUnderRoc(roc), 0.5);
    const point = tmrAtFmr(roc, 0.1);
    assert.equal(point?.tmr, 0);
    assert.equal(point?.threshold, Infinity);
    assert.equal(point?.isResolved, false);
  });

  it('scores that separate: EER 0, and at an FMR of 1 everything matches', () => {
    const roc = rocCurve([
      { score: 2, isGenuine: true },
      { score: 1, isGenuine: false },
    ]);
    assert.equal(equalErrorRate(roc), 0);
    assert.equal(tmrAtFmr(roc, 0)?.tmr, 1);
    assert.equal(tmrAtFmr(roc, 1)?.fmr, 1);
  });

  it('ten impostors resolve an FMR of 10 %, not of 1 %', () => {
    const roc = rocCurve([
      { score: 9, isGenuine: true },
      ...Array.from({ length: 10 }, (_, i) => ({ score: i, isGenuine: false })),
    ]);
    assert.equal(tmrAtFmr(roc, 0.1)?.isResolved, true);
    assert.equal(tmrAtFmr(roc, 0.01)?.isResolved, false);
  });

  it('confidences on an edge fall into the bin below it, 0 into the first', () => {
    const edges = [0, 0.1, 0.3, 0.7, 1].map((confidence) => ({ confidence, isCorrect: true }));
    const filled = calibration(edges).bins.flatMap(({ count }, i) =>
      count > 0 ? [[i, count]] : [],
    );
    assert.deepEqual(filled, [[0, 2], [2, 1], [6, 1], [9, 1]]); // prettier-ignore
  });

  it('equal discordant counts are no difference at all, also above the exact range', () => {
    const result = mcNemar(40, 40);
    assert.deepEqual(result, { statistic: 0, pValue: 1, isExact: false });
  });
});

describe('groups', () => {
  it('sort by name, leave out what has no group, and small ones decide no gap', () => {
    const tagged = ['b', undefined, 'a', 'b'].map((name) => ({ tags: name ? { name } : {} }));
    const { groups, unknown } = groupItems(tagged, [{ name: 'name', order: [] }]);
    assert.deepEqual(
      groups.map(({ name, items: members }) => [name, members.length]),
      [['a', 1], ['b', 2]], // prettier-ignore
    );
    assert.equal(unknown, 1);
    const values = [
      { name: 'a', isSmall: false, value: 0.75 },
      { name: 'b', isSmall: false, value: 0.5 },
      { name: 'tiny', isSmall: true, value: 0 },
      { name: 'none', isSmall: false, value: undefined },
    ];
    const gapOf = (all: typeof values) => largestGap(all, ({ value }) => value);
    assert.deepEqual(gapOf(values), { gap: 0.25, highest: 'a', lowest: 'b' });
    assert.equal(gapOf(values.map((one) => ({ ...one, isSmall: false })))?.lowest, 'tiny');
    assert.equal(gapOf(values.slice(1)), undefined);
    assert.equal(gapOf([]), undefined);
  });
});

describe('properties of metrics', () => {
  it('Wilson holds the share, stays within 0 and 1, and narrows with more trials', () => {
    const cases = fc
      .tuple(fc.integer({ min: 1, max: 2000 }), fc.double({ min: 0, max: 1, noNaN: true }))
      .map(([total, share]) => ({ total, successes: Math.round(total * share) }));
    fc.assert(
      fc.property(cases, ({ total, successes }) => {
        const { low, high } = wilsonInterval(successes, total);
        const more = wilsonInterval(4 * successes, 4 * total);
        assert.ok(0 <= low && low <= successes / total && successes / total <= high && high <= 1);
        assert.ok(more.high - more.low < high - low);
        const mirrored = wilsonInterval(total - successes, total);
        assert.ok(Math.abs(mirrored.low - (1 - high)) < 1e-12);
      }),
    );
  });

  it('McNemar is symmetric and its p-value a probability', () => {
    fc.assert(
      fc.property(fc.nat(200), fc.nat(200), (onlyFirst, onlySecond) => {
        const result = mcNemar(onlyFirst, onlySecond);
        assert.deepEqual(mcNemar(onlySecond, onlyFirst), result);
        assert.ok(result.pValue >= 0 && result.pValue <= 1);
      }),
    );
  });

  it('figures lie between 0 and 1, order of items is no matter, counts add up', () => {
    fc.assert(
      fc.property(items, (list) => {
        const matrix = confusionMatrix(list, CLASSES);
        const reversed = confusionMatrix([...list].reverse(), CLASSES);
        assert.deepEqual(matrix, reversed);
        const cells = [...matrix.counts.flat(), ...matrix.unread];
        assert.equal(cells.reduce((sum, n) => sum + n, 0), list.length); // prettier-ignore
        for (const figure of [balancedAccuracy, macroF1]) {
          const value = figure(matrix) ?? NaN;
          assert.ok(value >= 0 && value <= 1);
        }
        assert.ok(withinBinsCount(matrix, 1) >= correctCount(matrix));
      }),
    );
  });

  it('a ROC curve rises from none to all; negating scores mirrors area and EER', () => {
    fc.assert(
      fc.property(pairs, (list) => {
        const roc = rocCurve(list);
        if (roc.points.length === 0) return;
        const { points } = roc;
        for (const [i, { fmr, tmr, threshold }] of points.entries()) {
          const before = points[i - 1];
          assert.ok(before === undefined || (fmr >= before.fmr && tmr >= before.tmr));
          assert.ok(before === undefined || threshold < before.threshold);
        }
        assert.deepEqual([points.at(-1)?.fmr, points.at(-1)?.tmr], [1, 1]);
        const mirrored = rocCurve(list.map((pair) => ({ ...pair, score: -pair.score })));
        const total = (value: (of: typeof roc) => number | undefined): number =>
          (value(roc) ?? NaN) + (value(mirrored) ?? NaN);
        assert.ok(Math.abs(total(areaUnderRoc) - 1) < 1e-12);
        assert.ok(Math.abs(total(equalErrorRate) - 1) < 1e-12);
      }),
    );
  });

  it('bootstrap intervals repeat with the seed and hold most of the figures they should', () => {
    const below = randomIntegers(7);
    let held = 0;
    const rounds = 100;
    for (let round = 0; round < rounds; round++) {
      // 60 and 40 items, of which 80 % and 60 % are right: balanced accuracy 0.7.
      const sample = Array.from({ length: 100 }, (_, i) => {
        const truth = i < 60 ? 0 : 1;
        return { truth, predicted: below(10) < (truth === 0 ? 8 : 6) ? truth : 1 - truth };
      });
      const matrix = confusionMatrix(sample, 2);
      const options = { seed: round, resamples: 300 };
      const { balancedAccuracy: interval } = classificationIntervals(matrix, options);
      assert.deepEqual(classificationIntervals(matrix, options).balancedAccuracy, interval);
      if (interval !== undefined && interval.low <= 0.7 && 0.7 <= interval.high) held += 1;
    }
    // 95 of 100 with a standard deviation of 2.2: below 87 something is wrong.
    assert.ok(held >= 87, String(held));
  });
});
