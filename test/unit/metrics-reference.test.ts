/** lib/evaluation/metrics against scikit-learn, statsmodels and scipy (scripts/export-metrics-fixture.py). */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { calibration } from '../../lib/evaluation/metrics/calibration.js';
import {
  balancedAccuracy,
  confusionMatrix,
  correctCount,
  macroF1,
  withinBinsCount,
} from '../../lib/evaluation/metrics/classification.js';
import { mcNemar } from '../../lib/evaluation/metrics/mcnemar.js';
import { equalErrorRate, tmrAtFmr } from '../../lib/evaluation/metrics/operating-points.js';
import { areaUnderRoc, rocCurve } from '../../lib/evaluation/metrics/roc.js';
import { CONFIDENCE, wilsonInterval } from '../../lib/evaluation/metrics/wilson.js';

interface Fixture {
  wilson: { successes: number; total: number; confidence: number; low: number; high: number }[];
  mcnemar: {
    onlyFirst: number;
    onlySecond: number;
    isExact: boolean;
    statistic: number;
    pValue: number;
  }[];
  classification: {
    classes: number;
    truth: number[];
    predicted: number[];
    counts: number[][];
    unread: number[];
    accuracy: number;
    balancedAccuracy: number;
    macroF1: number;
    withinOneBin: number;
  }[];
  calibration: {
    bins: number;
    confidence: number[];
    isCorrect: boolean[];
    counts: number[];
    accuracy: number[];
    meanConfidence: number[];
    ece: number;
  }[];
  roc: {
    scores: number[];
    isGenuine: boolean[];
    fmr: number[];
    tmr: number[];
    thresholds: number[];
    area: number;
    equalErrorRate: number;
    tmrAtFmr: { maxFmr: number; tmr: number }[];
  }[];
}

const FIXTURE = JSON.parse(
  readFileSync(new URL('../fixtures/metrics.json', import.meta.url), 'utf8'),
) as Fixture;

/** Both sides sum at most a few hundred doubles: 1e-12 is far above rounding, far below any mistake. */
const TOLERANCE = 1e-12;

function assertNear(actual: number | undefined, expected: number, what: string): void {
  assert.ok(actual !== undefined, what);
  const scale = Math.max(1, Math.abs(expected));
  assert.ok(Math.abs(actual - expected) <= TOLERANCE * scale, `${what}: ${actual}, ${expected}`);
}

function assertAllNear(
  actual: readonly (number | undefined)[],
  expected: readonly number[],
  what: string,
): void {
  assert.equal(actual.length, expected.length, what);
  for (const [i, value] of expected.entries()) assertNear(actual[i], value, `${what}[${i}]`);
}

describe('metrics equal the reference libraries', () => {
  it('Wilson intervals: statsmodels', () => {
    const cases = FIXTURE.wilson.filter(({ confidence }) => confidence === CONFIDENCE);
    assert.ok(cases.length > 1);
    for (const { successes, total, low, high } of cases) {
      const interval = wilsonInterval(successes, total);
      assertNear(interval.low, low, `${successes} of ${total}`);
      assertNear(interval.high, high, `${successes} of ${total}`);
    }
  });

  it('McNemar, exact and corrected: statsmodels', () => {
    for (const { onlyFirst, onlySecond, ...expected } of FIXTURE.mcnemar) {
      const what = `${onlyFirst} against ${onlySecond}`;
      const result = mcNemar(onlyFirst, onlySecond);
      assert.equal(result.isExact, expected.isExact, what);
      assertNear(result.statistic, expected.statistic, what);
      assertNear(result.pValue, expected.pValue, what);
      // A small p-value must be right in its own digits, not only near 0.
      assertNear(result.pValue / expected.pValue, 1, what);
    }
    assert.ok(FIXTURE.mcnemar.some(({ isExact }) => isExact));
    assert.ok(FIXTURE.mcnemar.some(({ isExact }) => !isExact));
  });

  for (const [i, expected] of FIXTURE.classification.entries()) {
    it(`confusion matrix ${i}, ${expected.classes} classes: scikit-learn`, () => {
      const items = expected.truth.map((truth, k) => {
        const predicted = expected.predicted[k] ?? -1;
        return { truth, predicted: predicted < 0 ? undefined : predicted };
      });
      const matrix = confusionMatrix(items, expected.classes);
      assert.deepEqual(matrix.counts, expected.counts);
      assert.deepEqual(matrix.unread, expected.unread);
      assertNear(correctCount(matrix) / items.length, expected.accuracy, 'accuracy');
      assertNear(balancedAccuracy(matrix), expected.balancedAccuracy, 'balanced accuracy');
      assertNear(macroF1(matrix), expected.macroF1, 'macro-F1');
      assertNear(
        withinBinsCount(matrix, 1) / items.length,
        expected.withinOneBin,
        'within one bin',
      );
    });
  }

  for (const [i, expected] of FIXTURE.calibration.entries()) {
    it(`calibration ${i}, ${expected.bins} bins: scikit-learn`, () => {
      const items = expected.confidence.map((confidence, k) => ({
        confidence,
        isCorrect: expected.isCorrect[k] === true,
      }));
      const { ece, bins } = calibration(items, expected.bins);
      const filled = bins.filter(({ count }) => count > 0);
      assert.deepEqual(
        bins.map(({ count }) => count),
        expected.counts,
      );
      assertNear(ece, expected.ece, 'ECE');
      const confidences = filled.map(({ meanConfidence }) => meanConfidence);
      assertAllNear(confidences, expected.meanConfidence, 'confidence');
      const accuracies = filled.map((bin) => bin.accuracy);
      assertAllNear(accuracies, expected.accuracy, 'accuracy');
    });
  }

  for (const [i, expected] of FIXTURE.roc.entries()) {
    it(`ROC curve ${i} of ${expected.scores.length} scores: scikit-learn`, () => {
      const roc = rocCurve(
        expected.scores.map((score, k) => ({ score, isGenuine: expected.isGenuine[k] === true })),
      );
      const { points } = roc;
      assertAllNear(points.map(({ fmr }) => fmr), expected.fmr, 'FMR'); // prettier-ignore
      assertAllNear(points.map(({ tmr }) => tmr), expected.tmr, 'TMR'); // prettier-ignore
      const thresholds = points.slice(1).map(({ threshold }) => threshold);
      assertAllNear(thresholds, expected.thresholds, 'threshold');
      assertNear(areaUnderRoc(roc), expected.area, 'area');
      assertNear(equalErrorRate(roc), expected.equalErrorRate, 'EER');
      for (const { maxFmr, tmr } of expected.tmrAtFmr) {
        assertNear(tmrAtFmr(roc, maxFmr)?.tmr, tmr, `TMR at FMR ${maxFmr}`);
      }
    });
  }
});
