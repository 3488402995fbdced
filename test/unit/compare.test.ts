/** The loss between two models' scores: against the formula, at its ends, and what the analysis makes of it. */
import assert from 'node:assert/strict';

import fc from 'fast-check';

import { compareModels } from '../../lib/evaluation/compare/analysis.js';
import { divergences, sharedTokens } from '../../lib/evaluation/compare/divergence.js';
import { checkCompareOptions, type CompareOptions } from '../../lib/evaluation/compare/options.js';
import { ratioInterval } from '../../lib/evaluation/metrics/intervals.js';
import type { EvaluationItem, ItemOutcome } from '../../lib/evaluation/types.js';

const shares = (scores: readonly number[]): number[] => {
  const weights = scores.map((score) => Math.exp(score));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
};

describe('unit: divergence of two models', () => {
  const score = fc.double({ min: -8, max: 8, noNaN: true }).map(Math.fround);
  const rows = fc
    .tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 2, max: 9 }))
    .chain(([tokens, vocabulary]) => {
      const scores = fc.array(score, {
        minLength: tokens * vocabulary,
        maxLength: tokens * vocabulary,
      });
      const ids = fc.array(fc.nat(vocabulary - 1), { minLength: tokens, maxLength: tokens });
      return fc.record({
        p: scores,
        q: scores,
        ids,
        vocabulary: fc.constant(vocabulary),
        shift: score,
      });
    });

  it('is the formula, whatever is added to all scores of a place', () => {
    fc.assert(
      fc.property(rows, ({ p, q, ids, vocabulary, shift }) => {
        const shifted = q.map((value) => value + 1000 * Math.sign(shift));
        const found = divergences(Float32Array.from(p), Float32Array.from(q), ids);
        ids.forEach((id, row) => {
          const [ofP, ofQ] = [p, q].map((all) =>
            shares(all.slice(row * vocabulary, (row + 1) * vocabulary)),
          ) as [number[], number[]];
          const want = ofP.reduce(
            (sum, share, i) => sum + share * Math.log(share / (ofQ[i] ?? 0)),
            0,
          );
          assert.ok(Math.abs((found.kl[row] ?? NaN) - Math.max(0, want)) < 1e-9);
          assert.ok((ofP[id] ?? 0) > 0);
        });
        const loss = ids.reduce((sum, id, row) => {
          const at = row * vocabulary;
          const [ofP, ofQ] = [p, q].map((all) => shares(all.slice(at, at + vocabulary)));
          return sum + Math.log((ofP?.[id] ?? 0) / (ofQ?.[id] ?? 0));
        }, 0);
        assert.ok(Math.abs(found.logProbLoss - loss) < 1e-8);
        const same = divergences(Float32Array.from(p), Float32Array.from(shifted), ids);
        // fp32 near 1000 keeps steps of 6e-5.
        same.kl.forEach((kl, row) => assert.ok(Math.abs(kl - (found.kl[row] ?? NaN)) < 1e-3));
      }),
    );
  });

  it('is nothing between equal scores, and what cannot be by both adds nothing', () => {
    const p = Float32Array.from([1, 2, -Infinity, 3, 0, 0]);
    const { kl, agreeing, logProbLoss } = divergences(p, p.slice(), [1, 0]);
    assert.deepEqual([kl, agreeing, logProbLoss], [[0, 0], 2, 0]);
    const never = divergences(Float32Array.from([0, 0]), Float32Array.from([0, -Infinity]), [0]);
    assert.deepEqual(never.kl, [Infinity]);
  });

  it('answers part at the first token that differs, and where one ends before the other', () => {
    assert.equal(sharedTokens([1, 2, 3], [1, 2, 3]), null);
    assert.equal(sharedTokens([1, 2, 3], [1, 9, 3]), 1);
    assert.equal(sharedTokens([1, 2, 3], [1, 2]), 2);
    assert.equal(sharedTokens([1, 2], [1, 2, 3]), 2);
  });
});

describe('unit: analysis of a comparison', () => {
  const items: EvaluationItem[] = Array.from({ length: 40 }, (_, i) => ({
    ...{ id: `p${i}#a`, images: [], prompt: 'q', choices: ['A', 'B'], answer: 0 },
    tags: { attribute: 'a', race: i % 2 === 0 ? 'even' : 'odd' },
  }));
  const outcome = (i: number, p: number, kl?: number): ItemOutcome => ({
    ...{ id: `p${i}#a`, promptHash: '', text: 'A', probabilities: [p, 1 - p] },
    ...{ promptTokens: 1, imageTokens: 0, generatedTokens: 2, milliseconds: 1 },
    ...(kl !== undefined && {
      divergence: {
        ...{ kl: [kl, 3 * kl], agreeing: i === 1 ? 1 : 2 },
        ...{ logProbLoss: 0.1, sharedTokens: i === 1 ? 1 : null },
      },
    }),
  });
  const reference = { name: 'reference', outcomes: items.map((_, i) => outcome(i, 0.75)) };
  const model = {
    name: 'model',
    outcomes: items.map((_, i) => outcome(i, i < 3 ? 0.25 : 0.7, i === 5 ? 1 : 0.01)),
  };
  const input = { items, reference, model, smallGroup: 30, seed: 0 };

  it('tells every figure, over all questions and by group', () => {
    const found = compareModels(input);
    assert.ok(found);
    const { overall, groups, test } = found;
    assert.equal(overall.count, 40);
    assert.equal(overall.tokens, 80);
    assert.ok(Math.abs(overall.kl.mean - (39 * 0.04 + 4) / 80) < 1e-12);
    assert.deepEqual(overall.kl.worst, { value: 3, id: 'p5#a' });
    assert.equal(overall.agreement.value, 79 / 80);
    assert.equal(overall.sameAnswers.value, 39 / 40);
    assert.equal(overall.medianShared, 1);
    assert.equal(overall.flips.value, 3 / 40);
    assert.ok(Math.abs(overall.shift.max - 0.5) < 1e-12);
    assert.ok(Math.abs(overall.perplexityRatio - Math.exp(0.05)) < 1e-12);
    assert.deepEqual(overall.accuracy, { reference: 1, model: 37 / 40 });
    const change = overall.accuracyChange;
    assert.ok(change !== undefined && change.low < -3 / 40 && change.high > -3 / 40);
    assert.deepEqual([test?.onlyFirst, test?.onlySecond], [3, 0]);
    const races = groups.filter(({ by }) => by === 'race');
    assert.deepEqual(
      races.map(({ group, isSmall, figures }) => [group, isSmall, figures.flips.value]),
      [
        ['even', true, 2 / 20],
        ['odd', true, 1 / 20],
      ],
    );
  });

  it('leaves out what one of them could not be asked, and is nothing of nothing', () => {
    const failed = {
      ...model,
      outcomes: model.outcomes.map((one, i) =>
        i < 39
          ? {
              id: one.id,
              promptHash: '',
              promptTokens: 0,
              imageTokens: 0,
              generatedTokens: 0,
              milliseconds: 0,
            }
          : one,
      ),
    };
    assert.equal(compareModels({ ...input, model: failed })?.overall.count, 1);
    assert.equal(compareModels({ ...input, model: { name: 'model', outcomes: [] } }), undefined);
  });

  it("an interval of a mean over tokens holds it, and is that of equal answers' mean without spread", () => {
    assert.deepEqual(
      ratioInterval(
        [
          [2, 1],
          [2, 1],
        ],
        { seed: 1 },
      ),
      { low: 2, high: 2 },
    );
    assert.equal(ratioInterval([[0, 0]], { seed: 1 }), undefined);
  });

  it('wrong options are told all at once, and a model beside itself is no comparison', () => {
    const given = { benchmark: 'attributes', model: 'm', data: 'd', output: 'o' } as const;
    const wrong = { ...given, yardstick: 3, tuned: 'x', limit: 0 } as unknown as CompareOptions;
    assert.throws(
      () => checkCompareOptions(wrong),
      ({ details }: { details: readonly string[] }) =>
        ['limit', 'yardstick', 'tuned', 'against'].every((name) =>
          details.some((line) => line.startsWith(name)),
        ),
    );
    checkCompareOptions({ ...given, weights: 'int8' });
    checkCompareOptions({ ...given, against: 'other' });
  });
});
