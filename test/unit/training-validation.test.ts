/** Which records a run is examined on, and what the examination says. */
import assert from 'node:assert/strict';

import fc from 'fast-check';

import type { TrainingRecord } from '../../lib/data/index.js';
import { afterValidation, NONE_YET } from '../../lib/training/validation/best.js';
import { closedAnswers } from '../../lib/training/validation/closed-answers.js';
import { validationFigures } from '../../lib/training/validation/figures.js';
import { splitRecords } from '../../lib/training/validation/split.js';

function record(index: number, more: Partial<TrainingRecord> = {}): TrainingRecord {
  const turns = [{ user: 'q', assistant: 'a' }];
  return { index, images: [], system: undefined, turns, facts: {}, ...more };
}

const records = fc
  .array(
    fc.record({
      images: fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'), { maxLength: 2 }),
      person: fc.constantFrom('1', '2', '3', '4', '5', '6'),
    }),
    { minLength: 1, maxLength: 40 },
  )
  .map((list) =>
    list.map(({ images, person }, index) => record(index, { images, facts: { person } })),
  );

describe('validation: what is held back', () => {
  it('no picture, and by person no person, stands on both sides; all records are on one', () => {
    fc.assert(
      fc.property(
        records,
        fc.constantFrom('picture' as const, 'person' as const, 'sample' as const),
        fc.double({ min: 0.05, max: 0.6, noNaN: true }),
        fc.nat(),
        (list, by, share, seed) => {
          let split;
          try {
            split = splitRecords(list, { share, by }, seed);
          } catch (error) {
            assert.equal((error as { code?: string }).code, 'FACELLM_DATA_INVALID');
            return;
          }
          const { train, validation } = split;
          assert.deepEqual(
            [...train, ...validation].map(({ index }) => index).sort((a, b) => a - b),
            list.map(({ index }) => index),
          );
          assert.ok(train.length > 0 && validation.length > 0);
          const names = (side: readonly TrainingRecord[]): Set<string> =>
            new Set(
              side.flatMap(({ images, facts }) => [
                ...images,
                ...(by === 'person' ? [`person ${facts.person}`] : []),
              ]),
            );
          const learnt = names(train);
          for (const name of names(validation)) assert.ok(!learnt.has(name), name);
          assert.deepEqual(splitRecords(list, { share, by }, seed), split, 'the seed decides');
        },
      ),
    );
  });

  it('share counts what is asked for', () => {
    // Picture p0 has 9 of the 18 questions.
    const list = Array.from({ length: 18 }, (_, i) =>
      record(i, { images: [i < 9 ? 'p0' : `p${i}`] }),
    );
    for (let seed = 0; seed < 20; seed++) {
      const { validation } = splitRecords(list, { share: 0.2, by: 'picture' }, seed);
      assert.equal(new Set(validation.flatMap(({ images }) => images)).size, 2);
      const samples = splitRecords(list, { share: 0.2, by: 'sample' }, seed).validation;
      assert.ok(samples.length >= 4);
    }
  });

  it('a person who is not known is told by the record; so is what cannot be divided', () => {
    const list = [record(4), record(7, { facts: { person: 'x' } })];
    assert.throws(() => splitRecords(list, { share: 0.5, by: 'person' }, 0), {
      code: 'FACELLM_DATA_INVALID',
      details: ['record 4: expected the key person, but it is missing'],
    });
    const same = [record(0, { images: ['a'] }), record(1, { images: ['a'] })];
    assert.throws(() => splitRecords(same, { share: 0.5, by: 'picture' }, 0), {
      code: 'FACELLM_DATA_INVALID',
      message: /1 part\(s\) that cannot be divided/,
    });
  });
});

describe('validation: closed questions', () => {
  const asked = (user: string, ...answers: string[]): TrainingRecord[] =>
    answers.map((assistant, i) => record(i, { turns: [{ user, assistant }] }));

  it('the same few answers again and again, and nothing else', () => {
    const smile = asked('smile?', 'yes', 'no', 'no', 'no', 'yes', 'no', 'no', 'no');
    const free = asked('describe', 'a man', 'a woman', 'a man', 'somebody');
    const one = asked('face?', 'yes', 'yes', 'yes', 'yes', 'yes', 'yes', 'yes', 'yes');
    const chat = record(0, { turns: [...(smile[0]?.turns ?? []), { user: 'x', assistant: 'y' }] });
    const answersTo = closedAnswers([...smile, ...free, ...one, chat]);
    assert.deepEqual(answersTo(smile[3] as TrainingRecord), ['no', 'yes']);
    for (const open of [free[0], one[0], chat]) {
      assert.equal(answersTo(open as TrainingRecord), undefined);
    }
  });
});

describe('validation: figures', () => {
  const sample = (
    gender: string,
    loss: number,
    [truth, best]: [number, number],
  ): Parameters<typeof validationFigures>[0][number] => ({
    record: record(0, { facts: { gender } }),
    loss,
    learntTokens: 2,
    closed: { truth, best, question: 'q' },
  });

  it('loss a token, accuracy, balanced accuracy, groups and the worst of them', () => {
    const figures = validationFigures([
      ...Array.from({ length: 12 }, () => sample('Male', 1, [0, 0])),
      ...Array.from({ length: 10 }, (_, i) => sample('Female', 3, [1, i < 4 ? 1 : 0])),
    ]);
    assert.equal(figures.loss, (12 + 30) / 44);
    assert.equal(figures.accuracy, 16 / 22);
    assert.equal(figures.balancedAccuracy, (1 + 0.4) / 2);
    assert.deepEqual(
      figures.groups.map(({ value, samples, accuracy, loss }) => [value, samples, accuracy, loss]),
      [
        ['Male', 12, 1, 0.5],
        ['Female', 10, 0.4, 1.5],
      ],
    );
    assert.equal(figures.worstGroup?.value, 'Female');
  });

  it('a group of a few people is never called the worst, nor one that has no other beside it', () => {
    const many = Array.from({ length: 12 }, () => sample('Male', 1, [0, 0]));
    assert.equal(validationFigures(many).worstGroup, undefined);
    const { worstGroup } = validationFigures([...many, sample('Female', 9, [0, 1])]);
    assert.equal(worstGroup?.value, 'Male');
  });
});

describe('validation: the best and the end', () => {
  it('losses fall, other metrics rise; patience counts from the best; no number is no best', () => {
    const run = (bestMetric: string, values: number[], patience = 2) =>
      values.reduce(
        (state, value, i) => afterValidation(state, i + 1, value, { bestMetric, patience }),
        NONE_YET,
      );
    assert.deepEqual(run('loss', [3, 2, 2]), {
      best: { step: 2, value: 2 },
      sinceBest: 1,
      endedAt: null,
    });
    assert.equal(run('loss', [3, 2, 2, 4]).endedAt, 4);
    assert.equal(run('loss', [3, 2, 2, 4], 0).endedAt, null);
    // What comes behind, in a rate that falls, may be better, and changes nothing of when waiting ended.
    assert.deepEqual(run('loss', [3, 2, 2, 4, 1, 1, 1]), {
      best: { step: 5, value: 1 },
      sinceBest: 2,
      endedAt: 4,
    });
    assert.deepEqual(run('accuracy', [0.5, 0.7, Number.NaN]).best, { step: 2, value: 0.7 });
    assert.equal(run('accuracy', [0.5, 0.4, 0.6]).sinceBest, 0);
    assert.deepEqual(run('accuracy', [Number.NaN, 0.4]).best, { step: 2, value: 0.4 });
    assert.deepEqual(run('last', [3, 2, 4, 5, 6]), NONE_YET);
  });
});
