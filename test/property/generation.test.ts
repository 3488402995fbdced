/**
 * What must not change an answer: the cache, the batch, the neighbours, a shared prefix. Comparisons are
 * in fp32 with docs/numerics.md's tolerance, since sums run in another order.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';

import type { NativeModel, NativePrompt } from '../../lib/binding/native.js';
import { assertClose, generate, GREEDY } from '../support/generate.js';
import * as golden from '../support/golden.js';

describe('generation', () => {
  let model: NativeModel;
  let prompts: NativePrompt[];
  before(async () => {
    model = await golden.loadNative(join(golden.GOLDEN, 'ckpt-300m'), { dtype: 'fp32' });
    const names = ['face_square', 'face_tiled', 'text_only', 'two_images'];
    const cases = golden
      .goldenCases('300m')
      .filter((c) => c.dtype === 'fp32' && names.includes(c.name));
    prompts = await Promise.all(cases.map(golden.goldenPrompt));
  });
  after(() => model.dispose().promise);
  beforeEach(() => model.clearCaches().promise);

  it('prefill and decode are one full forward pass', async () => {
    for (const prompt of prompts) {
      const [made] = await generate(model, [prompt]);
      assert.ok(made);
      const whole = await model.choose({
        prompt,
        adapters: [],
        choices: [Int32Array.from(made.ids)],
        usesPrefixCache: false,
        prefixGroup: 0,
      }).promise;
      assertClose(made.logProbs, [...(whole.tokenLogProbs[0] ?? [])]);
    }
  });

  it('a batch of unequal lengths is its rows, in any order', async () => {
    const alone = [];
    for (const prompt of prompts) alone.push(...(await generate(model, [prompt])));
    const together = await generate(model, prompts);
    const reversed = (await generate(model, [...prompts].reverse())).reverse();
    alone.forEach((row, i) => {
      assert.deepEqual(together[i]?.ids, row.ids);
      assert.deepEqual(reversed[i]?.ids, row.ids);
      assertClose(together[i]?.logProbs ?? [], row.logProbs);
      assertClose(reversed[i]?.logProbs ?? [], row.logProbs);
    });
  });

  it('a row that ends early leaves the others alone', async () => {
    const free = await generate(model, prompts);
    const end = free[0]?.ids[2] ?? -1;
    const stopped = await generate(model, prompts, { eosIds: [end] });
    stopped.forEach((row, i) => {
      const ids = free[i]?.ids ?? [];
      const until = ids.indexOf(end);
      assert.deepEqual(row.ids, until < 0 ? ids : ids.slice(0, until + 1));
      assert.equal(row.row.finishReason, until < 0 ? 'length' : 'eos');
    });
  });

  it('a cached prefix gives the same tokens as none', async () => {
    for (const prompt of prompts) {
      const [cold] = await generate(model, [prompt], { usesPrefixCache: true });
      const [warm] = await generate(model, [prompt], { usesPrefixCache: true });
      const [none] = await generate(model, [prompt]);
      assert.ok(cold && warm && none);
      assert.equal(cold.row.cachedTokens, 0);
      assert.equal(warm.row.cachedTokens, prompt.ids.length - 1);
      assert.deepEqual(warm.ids, none.ids);
      assert.deepEqual(cold.ids, none.ids);
      assertClose(warm.logProbs, none.logProbs);
      await model.clearCaches().promise;
    }
  });

  it('another picture with the same ids shares only what stands before it', async () => {
    const [square] = prompts;
    assert.ok(square?.images[0]);
    const rgb = square.images[0].rgb?.map((value) => 255 - value);
    const other = { ids: square.ids, images: [{ ...square.images[0], rgb, key: 'negative' }] };
    await generate(model, [square], { usesPrefixCache: true });
    const [warm] = await generate(model, [other], { usesPrefixCache: true });
    const [none] = await generate(model, [other]);
    assert.ok(warm && none);
    assert.ok(warm.row.cachedTokens <= square.ids.indexOf(2072));
    assert.deepEqual(warm.ids, none.ids);
  });

  it('choices are scored independently of their neighbours, and add up', async () => {
    const [prompt] = prompts;
    assert.ok(prompt);
    const choices = [[5], [5, 6], [7, 8, 9], [7, 8, 10]].map((ids) => Int32Array.from(ids));
    const all = await model.choose({
      prompt,
      adapters: [],
      choices,
      usesPrefixCache: false,
      prefixGroup: 0,
    }).promise;
    for (const [i, choice] of choices.entries()) {
      const one = await model.choose({
        prompt,
        adapters: [],
        choices: [choice],
        usesPrefixCache: false,
        prefixGroup: 0,
      }).promise;
      assertClose([...(all.tokenLogProbs[i] ?? [])], [...(one.tokenLogProbs[0] ?? [])]);
      const sum = Array.from(all.tokenLogProbs[i] ?? []).reduce((total, value) => total + value, 0);
      assert.ok(Math.abs(sum - (all.logProbs[i] ?? NaN)) < 1e-4);
    }
    // Every id of the vocabulary as a one-token answer: probabilities add up to one.
    const every = Array.from({ length: 2079 }, (_, id) => Int32Array.of(id));
    const result = await model.choose({
      prompt,
      adapters: [],
      choices: every,
      usesPrefixCache: true,
      prefixGroup: 0,
    }).promise;
    const total = result.logProbs.reduce((sum, logProb) => sum + Math.exp(logProb), 0);
    assert.ok(Math.abs(total - 1) < 1e-4, `${total}`);
  });

  it('draws repeat with a seed and differ without it', async () => {
    const [prompt] = prompts;
    assert.ok(prompt);
    const draw = async (seed: number): Promise<number[]> => {
      const sampling = { ...GREEDY, isGreedy: false, temperature: 2, seed };
      const [made] = await generate(model, [prompt], { sampling });
      return made?.ids ?? [];
    };
    assert.deepEqual(await draw(1), await draw(1));
    assert.notDeepEqual(await draw(1), await draw(2));
  });

  it('refuses prompts whose placeholders and pictures differ', async () => {
    const [prompt] = prompts;
    assert.ok(prompt);
    const job = model.trace({ ids: prompt.ids.slice(0, 6), images: prompt.images }, []);
    await assert.rejects(job.promise, { code: 'FACELLM_IMAGE_TOKEN_MISMATCH' });
    const long = { ids: new Int32Array(32768), images: [] };
    await assert.rejects(model.trace(long, []).promise, { code: 'FACELLM_PROMPT_TOO_LONG' });
    const wrong = { ids: Int32Array.of(5000), images: [] };
    await assert.rejects(model.trace(wrong, []).promise, { code: 'FACELLM_INVALID_ARGUMENT' });
  });

  it('refuses numbers of tiles that only look small in 32 bits', async () => {
    const image = { key: 'x', rgb: new Uint8Array(3), width: 1, height: 1, hasThumbnail: false };
    for (const grid of [
      { columns: 2 ** 32 + 1, rows: 1 },
      { columns: 1, rows: 2 ** 33 + 2 },
    ]) {
      await assert.rejects(model.embedImages([{ ...image, ...grid }], []).promise, {
        code: 'FACELLM_INVALID_ARGUMENT',
      });
    }
  });
});
