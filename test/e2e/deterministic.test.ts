/**
 * `deterministic: true` through the public API: equal bits alone and in company, and what a model says of itself. On the CPU, which
 * alone has that mode.
 */
import assert from 'node:assert/strict';

import { DeviceError, FaceLlm } from '../../lib/index.js';
import { GOLDEN } from '../support/golden.js';
import { join } from 'node:path';

const CHECKPOINT = join(GOLDEN, 'ckpt-300m');
const raw = (shade: number) => ({
  data: new Uint8Array(56 * 56 * 3).fill(shade),
  width: 56,
  height: 56,
});

describe('deterministic mode', () => {
  for (const dtype of ['fp32', 'bf16'] as const) {
    it(`gives the same bits alone and in company (${dtype})`, async () => {
      await using model = await FaceLlm.load(CHECKPOINT, {
        dtype,
        deterministic: true,
        device: 'cpu',
      });
      assert.equal(model.deterministic, true);
      const requests = Array.from({ length: 16 }, (_, i) => ({
        ...(i % 3 === 0 ? { image: raw(40 * (i % 5)) } : {}),
        question: 'What is there? '.repeat(1 + (i % 7)) + String(i % 6),
      }));
      const choices = ['a', 'b b', 'b c d', 'a face of somebody'];
      const ask = async (request: (typeof requests)[number]) => {
        const [{ text, tokenIds, logProbs }, { choices: scores }] = await Promise.all([
          model.ask({ ...request, maxNewTokens: 8 }).result(),
          model.choose({ ...request, choices }),
        ]);
        return { text, tokenIds, logProbs, scores };
      };
      const alone: unknown[] = [];
      for (const request of requests) {
        alone.push(await ask(request));
        await model.clearCaches();
      }
      assert.deepEqual(await Promise.all(requests.map(ask)), alone);
      // Everything cached.
      assert.deepEqual(await Promise.all(requests.toReversed().map(ask)), alone.toReversed());
    });
  }

  it('is part of the fingerprint, which is the same for the same model', async () => {
    const options = { dtype: 'fp32', device: 'cpu' } as const;
    await using first = await FaceLlm.load(CHECKPOINT, { ...options, deterministic: true });
    await using again = await FaceLlm.load(CHECKPOINT, { ...options, deterministic: true });
    await using other = await FaceLlm.load(CHECKPOINT, options);
    assert.match(first.fingerprint, /^[0-9a-f]{12}$/);
    assert.equal(again.fingerprint, first.fingerprint);
    assert.notEqual(other.fingerprint, first.fingerprint);
    assert.equal(other.deterministic, false);
  });

  it('is refused on a GPU, with the reason', async () => {
    await assert.rejects(
      FaceLlm.load(CHECKPOINT, { device: 'cuda', deterministic: true }),
      (error: unknown) =>
        error instanceof DeviceError &&
        error.code === 'FACELLM_NOT_DETERMINISTIC' &&
        error.message.includes('cpu only'),
    );
  });
});
