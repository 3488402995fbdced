/**
 * Requests leave no picture behind, however they end. Pictures are large and requests few, so that one that
 * stays stands out of what allocators and collectors do; scripts/soak-memory.mjs finds small leaks.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { FaceLlm, type RawImage } from '../../lib/index.js';
import { GOLDEN } from '../support/golden.js';

const SIDE = 3400;
/** Above 32 MiB, where malloc gives every block back to the system as soon as it is freed. */
const PICTURE_BYTES = SIDE * SIDE * 3;
/** Of each way that a request can end. */
const TIMES = 4;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

describe('memory', () => {
  let model: FaceLlm;
  before(async () => {
    const caches = { imageCacheBytes: 1 << 16, prefixCacheBytes: 1 << 18 };
    model = await FaceLlm.load(join(GOLDEN, 'ckpt-300m'), { dtype: 'fp32', ...caches });
  });
  after(() => model.dispose());

  let shade = 0;
  /** Another one each time, in memory of its own. */
  const picture = (): RawImage => {
    const data = new Uint8Array(PICTURE_BYTES).fill(100);
    data[0] = shade++;
    return { data, width: SIDE, height: SIDE };
  };
  const question = { question: 'Describe.', tiling: 'off' } as const;

  const ends: readonly (readonly [string, () => Promise<unknown>])[] = [
    ['answered', () => model.ask({ image: picture(), ...question, maxNewTokens: 2 }).result()],
    [
      'left in the middle',
      async () => {
        for await (const piece of model.ask({ image: picture(), ...question })) {
          assert.equal(typeof piece, 'string');
          break;
        }
      },
    ],
    [
      'aborted',
      async () => {
        const abort = new AbortController();
        const asked = model.ask({ image: picture(), ...question, signal: abort.signal });
        setImmediate(() => abort.abort(new Error('enough')));
        await assert.rejects(asked.result(), { message: 'enough' });
      },
    ],
    [
      'refused',
      () =>
        assert.rejects(
          model.ask({ image: { ...picture(), width: SIDE + 1 }, ...question }).result(),
          { code: 'FACELLM_INVALID_ARGUMENT' },
        ),
    ],
    ['chosen', () => model.choose({ image: picture(), ...question, choices: ['a', 'b'] })],
  ];

  async function residentBytes(): Promise<number> {
    // Array buffers go in a later turn than their objects.
    for (let i = 0; i < 3; i++) {
      collect();
      await new Promise((resolve) => setImmediate(resolve));
    }
    return process.memoryUsage().rss;
  }

  for (const [title, request] of ends) {
    it(`a request that is ${title}`, async () => {
      await request();
      const before = await residentBytes();
      for (let i = 0; i < TIMES; i++) await request();
      const pictures = ((await residentBytes()) - before) / PICTURE_BYTES;
      assert.ok(pictures < TIMES / 2, `${pictures.toFixed(1)} of ${TIMES} pictures stayed`);
    });
  }
});
