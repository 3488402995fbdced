/** Shares and denominators: summed over ranks they give what one process computes. */
import assert from 'node:assert/strict';

import { planOfRank } from '../../lib/training/rank.js';
import { denominatorsOfRank } from '../../lib/training/updates.js';

const LEARNT = [5, 1, 3, 7, 2];
const learntTokens = (picked: readonly number[]): number =>
  picked.reduce((sum, i) => sum + (LEARNT[i] ?? 0), 0);
const plan = { update: 0, pass: 0, epoch: 1, microBatches: [[0, 1, 2], [3], [4]] };

describe('training: shares of ranks', () => {
  for (const size of [1, 2, 3, 4]) {
    const ranks = Array.from({ length: size }, (_, rank) => ({ rank, size }));

    it(`${size} rank(s) take every sample once`, () => {
      plan.microBatches.forEach((batch, k) => {
        const shares = ranks.flatMap((place) => planOfRank(plan, place).microBatches[k] ?? []);
        assert.deepEqual(shares, batch);
      });
    });

    it(`window: ${size} rank(s) divide by the learnt tokens of all`, () => {
      for (const place of ranks) {
        assert.deepEqual(denominatorsOfRank(plan, learntTokens, 'window', place), [18, 18, 18]);
      }
    });

    it(`micro-batch: the weights of all losses of ${size} rank(s) add up to one`, () => {
      const weight = ranks.flatMap((place) => {
        const denominators = denominatorsOfRank(plan, learntTokens, 'micro-batch', place);
        return planOfRank(plan, place).microBatches.map(
          (batch, k) => learntTokens(batch) / (denominators[k] ?? NaN),
        );
      });
      const total = weight.reduce((sum, one) => sum + one, 0);
      assert.ok(Math.abs(total - 1) < 1e-12, `${total}`);
    });
  }

  it('micro-batch: each rank counts alike, whatever its number of tokens', () => {
    const whole = { update: 0, pass: 0, epoch: 1, microBatches: [[0, 1]] };
    assert.deepEqual(
      denominatorsOfRank(whole, learntTokens, 'micro-batch', { rank: 0, size: 2 }),
      [10],
    );
    assert.deepEqual(
      denominatorsOfRank(whole, learntTokens, 'micro-batch', { rank: 1, size: 2 }),
      [2],
    );
    assert.deepEqual(
      denominatorsOfRank(whole, learntTokens, 'micro-batch', { rank: 0, size: 1 }),
      [6],
    );
  });

  for (const normalisation of ['window', 'micro-batch'] as const) {
    for (const size of [1, 2, 3]) {
      it(`${normalisation}: what ${size} rank(s) have answers to weighs 1 in sum, where shares and micro-batches have none`, () => {
        const asked = { ...plan, microBatches: [[0, 1, 2, 3], [4], [5, 6]] };
        // Samples 0 and 6 alone are questions with several answers.
        const answers = (picked: readonly number[]): number =>
          picked.filter((i) => i === 0 || i === 6).length;
        const weights = Array.from({ length: size }, (_, rank) => {
          const denominators = denominatorsOfRank(asked, answers, normalisation, { rank, size });
          return planOfRank(asked, { rank, size }).microBatches.map(
            (batch, k) => answers(batch) / (denominators[k] ?? NaN),
          );
        }).flat();
        assert.equal(
          weights.reduce((sum, one) => sum + one, 0),
          1,
        );
      });
    }
  }
});
