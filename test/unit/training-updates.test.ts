/** An end that is asked for within an update: a process alone leaves the update undone, the ranks of a job make it whole. */
import assert from 'node:assert/strict';

import type { NativeJob } from '../../lib/binding/native-job.js';
import type { NativeTrainer } from '../../lib/binding/native.js';
import { createError } from '../../lib/errors.js';
import { facellm1b } from '../../lib/training/index.js';
import { runUpdate, type UpdateInput } from '../../lib/training/updates.js';

const MICRO_BATCHES = 4;
const sample = { ids: Int32Array.of(1), labels: Int32Array.of(1), weight: 1, images: [] };

/** A trainer that notes its calls; within the second of its micro-batches the run is asked to end. */
function interrupted(size: number, how: 'stop' | 'abort') {
  const calls: string[] = [];
  const [stop, abort] = [new AbortController(), new AbortController()];
  const job = <T>(name: string, value: T): NativeJob<T> => {
    calls.push(name);
    let cancel = (): void => undefined;
    const promise = new Promise<T>((resolve, reject) => {
      cancel = () => {
        calls.push('cancel');
        reject(createError('FACELLM_CANCELLED', 'cancelled'));
      };
      setImmediate(() => {
        if (calls.length === 2 && how === 'stop') stop.abort();
        if (calls.length === 2 && how === 'abort') abort.abort(new Error('enough'));
        resolve(value);
      });
    });
    return { promise, cancel };
  };
  const trainer = {
    accumulate: () => job('accumulate', { loss: 1, tokens: 2, computedTokens: 2 }),
    update: () => job('update', { gradNorm: 3, peakBytes: 4 }),
  } as unknown as NativeTrainer;
  const microBatches = Array.from({ length: MICRO_BATCHES }, (_, i) => [i]);
  const input: UpdateInput = {
    ...{ trainer, totalSteps: 2, endedAt: null, recipe: facellm1b(), isUsed: () => true },
    plan: { update: 0, pass: 0, epoch: 1, microBatches },
    loaded: microBatches.map(() => [{ samples: [sample], answers: undefined }]),
    samples: { learntTokens: (of) => of.length, answerWeights: () => 0 },
    ...{ signal: abort.signal, stopSignal: stop.signal },
    ending: AbortSignal.any([stop.signal, abort.signal]),
    job: {
      rank: 0,
      size,
      sum: (values: readonly number[]) => Promise.resolve(values),
    } as UpdateInput['job'],
  };
  return { calls, outcome: runUpdate(input) };
}

describe('unit: an update that is asked to end', () => {
  it('is left undone: the micro-batch under way is cancelled, nothing after it begins', async () => {
    const { calls, outcome } = interrupted(1, 'stop');
    assert.equal(await outcome, undefined);
    assert.deepEqual(calls, ['accumulate', 'accumulate', 'cancel']);
  });

  it('is made whole by the ranks of a job, who learn of it together', async () => {
    const { calls, outcome } = interrupted(2, 'stop');
    assert.equal((await outcome)?.isStopping, true);
    assert.deepEqual(calls, [...Array<string>(MICRO_BATCHES).fill('accumulate'), 'update']);
  });

  it('rejects with the reason of an AbortSignal, alone and in a job', async () => {
    for (const size of [1, 2]) {
      const { calls, outcome } = interrupted(size, 'abort');
      await assert.rejects(outcome, /enough/);
      assert.deepEqual(calls, ['accumulate', 'accumulate', 'cancel']);
    }
  });
});
