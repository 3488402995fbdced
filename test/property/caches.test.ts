/**
 * What a model keeps between requests: vectors of pictures, keys and values of prompts. Least recently used
 * out first, never more than the bytes given, and no answer that a model without them would not give.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';

import type { NativeModel, NativePrompt } from '../../lib/binding/native.js';
import { assertClose, generate } from '../support/generate.js';
import * as golden from '../support/golden.js';

const load = (caches: Partial<golden.LoadOptions>): Promise<NativeModel> =>
  golden.loadNative(join(golden.GOLDEN, 'ckpt-300m'), {
    ...{ dtype: 'fp32', imageCacheBytes: 0, prefixCacheBytes: 0 },
    ...caches,
  });

/** The golden checkpoint: 4 vectors a tile of 64 numbers; 2 layers of 2 key/value heads of 16 numbers. */
const TILE_BYTES = 4 * 64 * 4;
const TOKEN_BYTES = 2 * 2 * 2 * 16 * 4;
/** Of slots: native/generation/step_engine_limits.cpp. */
const BLOCK_TOKENS = 64;
const BLOCK_BYTES = BLOCK_TOKENS * TOKEN_BYTES;
const IMAGE_TOKEN = 2072;
const SIDE = 56;

/** One picture of one shade, in so many tiles side by side. */
function picture(shade: number, tiles = 1): NativePrompt {
  const rgb = new Uint8Array(SIDE * tiles * SIDE * 3).fill(shade);
  const placeholders = new Array<number>(4 * tiles).fill(IMAGE_TOKEN);
  const image = { key: `shade ${shade}`, rgb, width: SIDE * tiles, height: SIDE };
  return {
    ids: Int32Array.from([2049, 2070, ...placeholders, 2071, 5, 6]),
    images: [{ ...image, columns: tiles, rows: 1, hasThumbnail: false }],
  };
}

/** Text of so many tokens that shares nothing with that of another number. */
const text = (number: number, tokens: number): NativePrompt => ({
  ids: Int32Array.from({ length: tokens }, (_, i) => 20 + number * 100 + i),
  images: [],
});

describe('cache of pictures', () => {
  let model: NativeModel;
  afterEach(() => model.dispose().promise);

  /** Whether the vision tower had to work for it. Its time is added up only where it runs. */
  async function isEncoded(prompt: NativePrompt): Promise<boolean> {
    const [made] = await generate(model, [prompt], { maxNewTokens: 1 });
    return (made?.timings.vision ?? NaN) > 0;
  }

  it('holds as many as its bytes do, the least recently used out first', async () => {
    model = await load({ imageCacheBytes: 3 * TILE_BYTES - 1 });
    const [a, b, c] = [picture(10), picture(20), picture(30)] as const;
    assert.equal(await isEncoded(a), true);
    assert.equal(await isEncoded(b), true);
    assert.equal(await isEncoded(a), false, 'a second question encodes nothing');
    assert.equal(await isEncoded(c), true); // b, used longest ago, has to go
    assert.equal(await isEncoded(a), false);
    assert.equal(await isEncoded(c), false);
    assert.equal(await isEncoded(b), true); // and now a
    assert.equal(await isEncoded(c), false);
    assert.equal(await isEncoded(b), false);
    assert.equal(await isEncoded(a), true);
  });

  it('one that fills it pushes out all others, one that does not fit pushes out none', async () => {
    model = await load({ imageCacheBytes: 2 * TILE_BYTES });
    const [a, b] = [picture(10), picture(20)] as const;
    assert.equal(await isEncoded(a), true);
    assert.equal(await isEncoded(b), true);
    assert.equal(await isEncoded(picture(30, 3)), true);
    assert.equal(await isEncoded(picture(30, 3)), true);
    assert.equal(await isEncoded(a), false);
    assert.equal(await isEncoded(b), false);
    assert.equal(await isEncoded(picture(40, 2)), true);
    assert.equal(await isEncoded(picture(40, 2)), false);
    assert.equal(await isEncoded(a), true);
  });

  it('the same picture cut otherwise is another', async () => {
    model = await load({ imageCacheBytes: 1 << 20 });
    assert.equal(await isEncoded(picture(10, 1)), true);
    assert.equal(await isEncoded(picture(10, 2)), true);
    assert.equal(await isEncoded(picture(10, 1)), false);
  });

  it('none without bytes, and none after clearCaches', async () => {
    model = await load({ imageCacheBytes: TILE_BYTES - 1 });
    assert.equal(await isEncoded(picture(10)), true);
    assert.equal(await isEncoded(picture(10)), true);
    await model.dispose().promise;
    model = await load({ imageCacheBytes: TILE_BYTES });
    assert.equal(await isEncoded(picture(10)), true);
    assert.equal(await isEncoded(picture(10)), false);
    await model.clearCaches().promise;
    assert.equal(await isEncoded(picture(10)), true);
  });
});

describe('cache of prefixes', () => {
  let model: NativeModel;
  afterEach(() => model.dispose().promise);

  async function cached(prompt: NativePrompt): Promise<number> {
    const [made] = await generate(model, [prompt], { maxNewTokens: 1, usesPrefixCache: true });
    return made?.row.cachedTokens ?? NaN;
  }

  it('holds as many as its bytes do, the least recently used out first', async () => {
    model = await load({ prefixCacheBytes: 2 * BLOCK_BYTES + 1 });
    const [a, b, c] = [text(1, 20), text(2, 20), text(3, 20)] as const;
    assert.equal(await cached(a), 0);
    assert.equal(await cached(b), 0);
    assert.equal(await cached(a), 19, 'all but the token whose logits are wanted');
    assert.equal(await cached(c), 0); // b has to go
    assert.equal(await cached(a), 19);
    assert.equal(await cached(c), 19);
    assert.equal(await cached(b), 0); // and now a
    assert.equal(await cached(c), 19);
    assert.equal(await cached(b), 19);
    assert.equal(await cached(a), 0);
  });

  it('one that is longer than all of it keeps its beginning, and pushes out the others', async () => {
    model = await load({ prefixCacheBytes: 2 * BLOCK_BYTES });
    const long = text(3, 2 * BLOCK_TOKENS + 10);
    assert.equal(await cached(text(1, 20)), 0);
    assert.equal(await cached(text(2, 20)), 0);
    assert.equal(await cached(long), 0);
    assert.equal(await cached(long), 2 * BLOCK_TOKENS);
    assert.equal(await cached(text(1, 20)), 0);
    assert.equal(await cached(long), BLOCK_TOKENS, 'its end gave way');
  });

  it('none without bytes, and none after clearCaches', async () => {
    model = await load({});
    assert.equal(await cached(text(1, 20)), 0);
    assert.equal(await cached(text(1, 20)), 0);
    await model.dispose().promise;
    model = await load({ prefixCacheBytes: 1 << 20 });
    assert.equal(await cached(text(1, 20)), 0);
    assert.equal(await cached(text(1, 20)), 19);
    await model.clearCaches().promise;
    assert.equal(await cached(text(1, 20)), 0);
  });
});

describe('caches that keep pushing out', () => {
  it('give the answers of a model without any', async () => {
    const small = { imageCacheBytes: 3 * TILE_BYTES, prefixCacheBytes: 3 * BLOCK_BYTES };
    const [caching, plain] = [await load(small), await load({})];
    let state = 1;
    const draw = (below: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    let hits = 0;
    try {
      for (let request = 0; request < 24; request++) {
        // Pictures that come again, whole conversations that grow, batches of both.
        const prompts = Array.from({ length: 1 + draw(3) }, () => {
          if (draw(3) === 0) return text(1 + draw(3), 10 + draw(20));
          const { ids, images } = picture(10 * (1 + draw(5)), 1 + draw(2));
          const said = Array.from({ length: draw(12) }, (_, i) => 100 + i);
          return { ids: Int32Array.from([...ids, ...said]), images };
        });
        const options = { maxNewTokens: 2, usesPrefixCache: true };
        const ours = await generate(caching, prompts, options);
        const theirs = await generate(plain, prompts, { maxNewTokens: 2 });
        ours.forEach((row, i) => {
          hits += row.row.cachedTokens > 0 ? 1 : 0;
          assert.equal(theirs[i]?.row.cachedTokens, 0);
          assert.deepEqual(row.ids, theirs[i]?.ids);
          assertClose(row.logProbs, theirs[i]?.logProbs ?? []);
        });
      }
    } finally {
      await caching.dispose().promise;
      await plain.dispose().promise;
    }
    assert.ok(hits > 8, `only ${hits} prompts found anything: the test tests nothing`);
  });
});
