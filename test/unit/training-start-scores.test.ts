/** What the start model thinks of answers: in batches that fit, with damaged pictures, on ranks that have nothing to do. */
import assert from 'node:assert/strict';

import type {
  NativeMicroBatch,
  NativeTrainer,
  NativeTrainSample,
} from '../../lib/binding/native.js';
import type { Job } from '../../lib/distributed/index.js';
import { nano } from '../../lib/index.js';
import { startLogProbs } from '../../lib/training/answers/start-scores.js';
import type { SampleSet } from '../../lib/training/sample-set.js';
import type { SetAside } from '../../lib/training/set-aside.js';

/** Question i has these many other answers. */
const OTHERS = [2, 0, 2, 1];

function sampleOf(index: number, answer: number): NativeTrainSample {
  const ids = Int32Array.of(index, answer);
  return { ids, labels: ids, weight: 0, images: [] };
}

/** One rank's scores; a loss is 10 for each question before, and 1 for each answer. */
async function scoresOf(own: {
  readonly damaged?: readonly number[];
  readonly place?: Pick<Job, 'rank' | 'size'>;
  readonly batchSize?: number;
  readonly sharesPrefix?: boolean;
}) {
  const { damaged = [], place = { rank: 0, size: 1 }, batchSize = 3, sharesPrefix = false } = own;
  const asked: number[] = [];
  const progress: number[] = [];
  const trainer = {
    evaluate: ({ samples }: NativeMicroBatch) => {
      asked.push(samples.length);
      const sampleLosses = samples.map(({ ids }) => 10 * (ids[0] ?? 0) + (ids[1] ?? 0) + 1);
      return { promise: Promise.resolve({ sampleLosses }), cancel: () => undefined };
    },
  } as unknown as NativeTrainer;
  const aside = {
    load: (index: number) =>
      Promise.resolve(
        damaged.includes(index)
          ? { index, input: undefined, problem: 'damaged' }
          : {
              index,
              input: {
                samples: Array.from({ length: (OTHERS[index] ?? 0) + 1 }, (_, k) =>
                  sampleOf(index, k),
                ),
              },
              problem: '',
            },
      ),
  } as unknown as SetAside;
  const group = (place.size > 1 ? {} : undefined) as Job['group'];
  const scores = await startLogProbs({
    samples: {
      samples: OTHERS.map((count) => ({ others: Array<unknown>(count) })),
      pictures: OTHERS.map(() => 0),
    } as unknown as SampleSet,
    ...{ trainer, aside, signal: undefined },
    recipe: { ...nano(), batchSize, sharesPrefix },
    job: { ...place, group, sum: (values: readonly number[]) => Promise.resolve(values) } as Job,
    onProgress: (done, total) => {
      assert.equal(total, 3);
      progress.push(done);
    },
  });
  return { scores: scores.map((one) => [...one]), asked, progress };
}

const ALL = [[-1, -2, -3], [], [-21, -22, -23], [-31, -32]];

describe('unit: scores of the start model', () => {
  it('as many samples at once as a micro-batch has, or one question; records where its prefix is shared', async () => {
    assert.deepEqual(await scoresOf({}), { scores: ALL, asked: [3, 3, 2], progress: [1, 2, 3] });
    const five = await scoresOf({ batchSize: 5 });
    assert.deepEqual(five, { scores: ALL, asked: [3, 5], progress: [1, 3] });
    const one = await scoresOf({ batchSize: 1 });
    assert.deepEqual(one, { scores: ALL, asked: [3, 3, 2], progress: [1, 2, 3] });
    const shared = await scoresOf({ sharesPrefix: true });
    assert.deepEqual(shared, { scores: ALL, asked: [8], progress: [3] });
  });

  it('a record that cannot be read has none, which the engine refuses to learn from', async () => {
    const { scores, asked } = await scoresOf({ damaged: [2] });
    assert.deepEqual(scores, [ALL[0], [], [], ALL[3]]);
    assert.deepEqual(asked, [3, 2]);
  });

  it('every rank takes part in every round, with nothing where it has nothing', async () => {
    const second = await scoresOf({ place: { rank: 1, size: 2 } });
    assert.deepEqual(second.asked, [3, 0]);
    assert.deepEqual(second.scores.slice(2), [ALL[2], []]);
    const damaged = await scoresOf({ damaged: [0], place: { rank: 0, size: 2 } });
    assert.deepEqual(damaged.asked, [0, 2]);
  });
});
