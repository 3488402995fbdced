/** Results kept by key within a bound of bytes. */
import assert from 'node:assert/strict';

import { ByteCache } from '../../lib/image/byte-cache.js';

describe('results kept within a bound of bytes', () => {
  let made: string[];
  const make =
    (key: string, bytes = 4) =>
    async (): Promise<Uint8Array> => {
      made.push(key);
      return Promise.resolve(new Uint8Array(bytes));
    };
  const cacheOf = (capacity: number): ByteCache<Uint8Array> =>
    new ByteCache(capacity, ({ byteLength }) => byteLength);
  beforeEach(() => (made = []));

  it('makes each once, also for those who ask at the same time', async () => {
    const cache = cacheOf(100);
    const [a, b] = await Promise.all([cache.get('a', make('a')), cache.get('a', make('a'))]);
    assert.equal(a, b);
    assert.equal(await cache.get('a', make('a')), a);
    assert.deepEqual(made, ['a']);
  });

  it('gives up the oldest when all together take too many bytes', async () => {
    const cache = cacheOf(8);
    for (const key of ['a', 'b', 'c', 'b', 'a']) await cache.get(key, make(key));
    assert.deepEqual(made, ['a', 'b', 'c', 'a']);
  });

  it('what is larger than the bound is given, and not kept', async () => {
    const cache = cacheOf(8);
    await cache.get('a', make('a'));
    assert.equal((await cache.get('large', make('large', 20))).byteLength, 20);
    await cache.get('large', make('large', 20));
    assert.deepEqual(made, ['a', 'large', 'large']);
  });

  it('cleared, it makes all again, and counts nothing that was under way', async () => {
    const cache = cacheOf(8);
    await cache.get('a', make('a'));
    const early = cache.get('b', make('b'));
    cache.clear();
    await early;
    for (const key of ['a', 'b', 'a', 'b']) await cache.get(key, make(key));
    assert.deepEqual(made, ['a', 'b', 'a', 'b']);
  });

  it('a failure is told and not kept', async () => {
    const cache = cacheOf(8);
    const fail = (): Promise<Uint8Array> => Promise.reject(new Error('no such picture'));
    await assert.rejects(cache.get('a', fail), /no such picture/);
    await cache.get('a', make('a'));
    assert.deepEqual(made, ['a']);
  });
});
