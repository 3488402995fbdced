/** Bounds on work under way. */
import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';

import fc from 'fast-check';

import { Gate, mapBounded, prefetch } from '../../lib/jobs/bounded.js';

describe('bounded work', () => {
  /** Work that takes a few turns of the event loop, and the most of it that ran at once. */
  function counted() {
    const state = { now: 0, most: 0, started: 0 };
    const work = async (turns: number): Promise<number> => {
      state.started++;
      state.most = Math.max(state.most, ++state.now);
      for (let i = 0; i < turns; i++) await turn();
      state.now--;
      if (turns === 13) throw new Error('unlucky');
      return turns * 2;
    };
    return { state, work };
  }

  const turns = fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 30 });

  it('mapBounded: every result in its place, never more than the bound', () =>
    fc.assert(
      fc.asyncProperty(turns, fc.integer({ min: 1, max: 5 }), async (items, limit) => {
        const { state, work } = counted();
        const results = await mapBounded(items, limit, work);
        assert.deepEqual(
          results,
          items.map((item) => item * 2),
        );
        assert.ok(state.most <= limit);
      }),
      { numRuns: 30 },
    ));

  it('mapBounded: the first failure stops new work, and waits for what is under way', async () => {
    const { state, work } = counted();
    await assert.rejects(mapBounded([13, ...new Array<number>(50).fill(12)], 2, work), /unlucky/);
    assert.ok(state.started < 10, `${state.started} started`);
    assert.equal(state.now, 0);
  });

  it('prefetch: in order, at most so many ahead of the one in use', async () => {
    const { state, work } = counted();
    const items = [5, 0, 9, 1, 3, 2];
    const results: number[] = [];
    for await (const result of prefetch(items, 2, work)) {
      results.push(result);
      assert.ok(state.started <= results.length + 2);
    }
    assert.deepEqual(
      results,
      items.map((item) => item * 2),
    );
    const failing = prefetch([0, 13, 0], 2, work);
    assert.equal((await failing.next()).value, 0);
    await assert.rejects(failing.next(), /unlucky/);
  });

  it('Gate: a bound over calls from anywhere, also after failures', async () => {
    const { state, work } = counted();
    const gate = new Gate(3);
    const all = await Promise.allSettled(
      [4, 13, 2, 8, 13, 1, 7].map((n) => gate.run(() => work(n))),
    );
    assert.deepEqual(
      all.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled', 'fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
    );
    assert.equal(state.most, 3);
    assert.equal(await gate.run(() => work(1)), 2);
  });
});
