/** The queue before the engine: callers in turn, nobody for ever, batches behind everybody. */
import assert from 'node:assert/strict';

import { FairQueue, type QueuedRequest } from '../../lib/jobs/index.js';
import { Admission } from '../../lib/serving/admission.js';
import { DEFAULT_LIMITS, policyOf } from '../../lib/serving/options.js';
import { RequestFacts } from '../../lib/serving/request-facts.js';
import type { EngineState } from '../../lib/serving/state.js';
import { takePictures } from '../../lib/serving/take-pictures.js';
import { PHOTO } from '../support/server.js';

interface Entry {
  readonly name: string;
  readonly leave: () => void;
}

describe('fair queue', () => {
  let now: number;
  let queue: FairQueue;
  let admitted: Entry[];
  beforeEach(() => {
    now = 0;
    queue = new FairQueue(1, () => now);
    admitted = [];
  });

  const ask = (name: string, more: Partial<QueuedRequest> = {}): AbortController => {
    const abort = new AbortController();
    const request = { caller: name, cost: 10, rows: 1, priority: 0, signal: abort.signal, ...more };
    queue.enter(request).then(
      (leave) => admitted.push({ name, leave }),
      () => undefined,
    );
    return abort;
  };
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  /** Ends whoever is in, until nobody waits. */
  const order = async (): Promise<string[]> => {
    for (let at = 0; ; at++) {
      await settled();
      const one = admitted[at];
      if (one === undefined) return admitted.map(({ name }) => name);
      one.leave();
    }
  };

  it('takes callers in turn, however many requests one of them has', async () => {
    for (let i = 0; i < 3; i++) ask(`a${i}`, { caller: 'a' });
    for (let i = 0; i < 2; i++) ask(`b${i}`, { caller: 'b' });
    assert.deepEqual(await order(), ['a0', 'b0', 'a1', 'b1', 'a2']);
  });

  it("a caller's own by priority, and by a point for every five seconds of waiting", async () => {
    ask('first', { caller: 'a' });
    ask('old', { caller: 'a' });
    now = 15_001;
    ask('urgent', { caller: 'a', priority: 2 });
    ask('most urgent', { caller: 'a', priority: 4 });
    assert.deepEqual(await order(), ['first', 'most urgent', 'old', 'urgent']);
  });

  it('batches go in only where nobody else waits, and are counted by nobody', async () => {
    ask('running');
    ask('batch 1', { isBackground: true, caller: 'a' });
    ask('batch 2', { isBackground: true, caller: 'a', priority: 10 });
    now = 3_600_000;
    assert.deepEqual([queue.waiting, queue.waitingCost], [0, 0]);
    ask('question 1');
    ask('question 2');
    assert.deepEqual([queue.waiting, queue.waitingCost], [2, 20]);
    const names = await order();
    assert.deepEqual(names, ['running', 'question 1', 'question 2', 'batch 2', 'batch 1']);
  });

  it("a batch's lines cost its caller nothing, nor whoever comes later", async () => {
    ask('a batch', { isBackground: true, caller: 'a', cost: 1000 });
    ask('b0', { caller: 'b' });
    ask('b1', { caller: 'b' });
    ask('c0', { caller: 'c' });
    ask('a0', { caller: 'a' });
    ask('a1', { caller: 'a' });
    assert.deepEqual(await order(), ['a batch', 'b0', 'c0', 'a0', 'b1', 'a1']);
  });

  it('a batch that waits keeps no place for its caller', async () => {
    ask('b0', { caller: 'b' });
    ask('a batch', { isBackground: true, caller: 'a' });
    for (let i = 1; i < 4; i++) ask(`b${i}`, { caller: 'b' });
    for (let at = 0; at < 3; at++) {
      await settled();
      admitted[at]?.leave();
    }
    ask('a0', { caller: 'a' });
    ask('a1', { caller: 'a' });
    ask('c0', { caller: 'c' });
    await settled();
    const names = await order();
    assert.ok(names.indexOf('c0') < names.indexOf('a1'), names.join());
  });

  it("pictures of batches that wait take nobody's room", async () => {
    const admission = new Admission({ ...DEFAULT_LIMITS, decodedBytes: 1 }, 1);
    const state = { policy: policyOf({}), admission } as EngineState;
    const picture = { picture: { bytes: PHOTO }, param: 'images[0]' };
    const take = (isBackground: boolean) => {
      const exchange = { state, facts: new RequestFacts('', '') };
      return takePictures({ exchange, isBackground, signal: AbortSignal.timeout(5000) }, [picture]);
    };
    await take(true);
    const { givePixels } = await take(false);
    givePixels();
    assert.deepEqual([admission.decoded.taken, admission.decodedBehind.taken], [0, 1]);
  });

  it('who leaves while waiting is gone, and keeps no place', async () => {
    ask('running');
    const gone = ask('gone');
    ask('next');
    gone.abort(new Error('left'));
    assert.equal(queue.waiting, 1);
    assert.deepEqual(await order(), ['running', 'next']);
    assert.equal(queue.rows, 0);
  });
});
