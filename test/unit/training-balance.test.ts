/** Weights with which every answer to a question counts the same in sum. */
import assert from 'node:assert/strict';

import fc from 'fast-check';

import { balancedWeights } from '../../lib/training/balance.js';

const ANSWERS = { balancesAnswers: true, balancesGroups: [] } as const;

function record(user: string, assistant: string, facts: { gender?: string; race?: string } = {}) {
  return { turns: [{ user, assistant }], facts };
}

describe('balanced answers', () => {
  it('a rare answer weighs as much as a frequent one, in sum', () => {
    const weights = balancedWeights(
      [
        ...[record('glasses?', 'no'), record('glasses?', 'no'), record('glasses?', 'no')],
        ...[record('glasses?', 'yes'), record('smile?', 'yes')],
      ],
      ANSWERS,
    );
    assert.deepEqual(weights, [4 / 6, 4 / 6, 4 / 6, 2, 1]);
  });

  it('answers that are all different weigh 1', () => {
    const records = ['a', 'b', 'c'].map((answer) => record('Describe this image.', answer));
    assert.deepEqual(balancedWeights(records, ANSWERS), [1, 1, 1]);
  });

  it('the mean over a question is 1, and its answers weigh the same', () => {
    const one = fc.record({
      user: fc.constantFrom('p', 'q'),
      assistant: fc.constantFrom('x', 'y', 'z'),
    });
    fc.assert(
      fc.property(fc.array(one, { minLength: 1, maxLength: 60 }), (turns) => {
        const weights = balancedWeights(
          turns.map((turn) => ({ turns: [turn], facts: {} })),
          ANSWERS,
        );
        for (const user of new Set(turns.map((turn) => turn.user))) {
          const own = turns.flatMap((turn, i) =>
            turn.user === user ? [{ answer: turn.assistant, weight: weights[i] ?? NaN }] : [],
          );
          const sums = new Map<string, number>();
          for (const { answer, weight } of own) {
            sums.set(answer, (sums.get(answer) ?? 0) + weight);
          }
          for (const sum of sums.values()) {
            assert.ok(Math.abs(sum - own.length / sums.size) < 1e-9 * own.length);
          }
        }
      }),
    );
  });

  it('groups of people, alone and together with answers; what is not known is a group, too', () => {
    const women = [
      record('q', 'yes', { gender: 'Female' }),
      record('q', 'no', { gender: 'Female' }),
    ];
    const others = [record('q', 'yes', { gender: 'Male' }), record('q', 'no')];
    const records = [...women, ...others];
    const groups = ['gender'] as const;
    assert.deepEqual(balancedWeights(records, { balancesAnswers: false, balancesGroups: groups }), [
      4 / 6,
      4 / 6,
      4 / 3,
      4 / 3,
    ]);
    assert.deepEqual(
      balancedWeights(records, { balancesAnswers: true, balancesGroups: groups }),
      [1, 1, 1, 1],
    );
  });
});
