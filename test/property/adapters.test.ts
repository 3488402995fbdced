/**
 * What adapters must not change, and what they must: nothing where B is zero, the base after them, sums where several
 * meet, equal answers merged and unmerged, and no cache that crosses from one stack to another. fp32; tolerances from
 * docs/numerics.md.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { NativeModel, NativePrompt, NativeTensor } from '../../lib/binding/native.js';
import { readCheckpointConfig } from '../../lib/checkpoint/index.js';
import { readAdapter } from '../../lib/lora/index.js';
import { mergeAdapter } from '../../lib/model/index.js';
import { type AdapterKind, writeAdapter } from '../support/adapters.js';
import * as golden from '../support/golden.js';
import { type RawTensor, readRaw, writeSafetensors } from '../support/original-layout.js';

/** Vision, projector and text; fused and plain layers; every variant of scale. */
const KINDS: Readonly<Record<string, AdapterKind>> = {
  lora: {},
  rslora: { usesRsLora: true, rank: 8, alpha: 4 },
  dora: { usesDora: true },
  patterns: {
    rankPattern: { q_proj: 8, 'layers.0.mlp.up_proj': 2 },
    alphaPattern: { k_proj: 16, down_proj: 1 },
  },
  everywhere: { targets: '.*', b: 0.05 },
  'everywhere, DoRA': { targets: '.*', usesDora: true, usesRsLora: true, b: 0.05 },
};

function stage(stages: readonly NativeTensor[], name = 'logits.last'): NativeTensor {
  const found = stages.find((one) => one.name === name);
  assert.ok(found, name);
  return found;
}

function difference(a: NativeTensor, b: NativeTensor): number {
  return golden.relativeError(a, { dtype: 'F32', shape: b.shape, data: b.data });
}

for (const checkpoint of golden.CHECKPOINTS) {
  describe(`adapters: ckpt-${checkpoint}`, () => {
    const base = join(golden.GOLDEN, `ckpt-${checkpoint}`);
    let folder: string;
    let model: NativeModel;
    let prompt: NativePrompt;
    let untouched: readonly NativeTensor[];
    before(async () => {
      folder = mkdtempSync(join(tmpdir(), 'facellm-property-'));
      model = await golden.loadNative(base, { dtype: 'fp32' });
      const one = golden
        .goldenCases(checkpoint)
        .find(({ name, dtype }) => name === 'face_tiled' && dtype === 'fp32');
      assert.ok(one);
      prompt = await golden.goldenPrompt(one);
      untouched = await model.trace(prompt, []).promise;
    });
    after(async () => {
      await model.dispose().promise;
      rmSync(folder, { recursive: true });
    });
    beforeEach(() => model.clearCaches().promise);

    async function load(kind: AdapterKind, scale = 1): Promise<{ id: number; directory: string }> {
      const directory = await writeAdapter(base, mkdtempSync(join(folder, 'adapter-')), kind);
      const { model: config } = await readCheckpointConfig(base);
      const { source } = await readAdapter(directory, config, scale);
      return { id: (await model.loadAdapter(source).promise).id, directory };
    }
    const logits = async (...ids: number[]): Promise<NativeTensor> =>
      stage(await model.trace(prompt, ids).promise);

    it('B = 0 is the base, bit for bit; so is scale 0', async () => {
      const zero = await load({ targets: '.*', b: 0 });
      const off = await load({ targets: '.*' }, 0);
      for (const { id } of [zero, off]) {
        const stages = await model.trace(prompt, [id]).promise;
        stages.forEach((one, i) => assert.deepEqual(one.data, untouched[i]?.data, one.name));
        await model.unloadAdapter(id).promise;
      }
    });

    it('swapping and unloading give the base back, bit for bit, and each its own answer', async () => {
      const [a, b] = [
        await load({ seed: 1, targets: '.*' }),
        await load({ seed: 2, usesDora: true }),
      ];
      const [first, second] = [await logits(a.id), await logits(b.id)];
      assert.ok(difference(first, second) > 1e-2);
      assert.deepEqual((await logits(a.id)).data, first.data);
      assert.deepEqual((await logits()).data, stage(untouched).data);
      await model.trace(prompt, [a.id]).promise;
      await model.unloadAdapter(a.id).promise;
      await model.unloadAdapter(a.id).promise;
      assert.deepEqual((await logits()).data, stage(untouched).data);
      assert.deepEqual((await logits(b.id)).data, second.data);
      await assert.rejects(logits(a.id), { code: 'FACELLM_INVALID_ARGUMENT' });
      // The refusal has changed nothing.
      assert.deepEqual((await logits(b.id)).data, second.data);
      await model.unloadAdapter(b.id).promise;
    });

    for (const [name, kind] of Object.entries(KINDS)) {
      it(`${name}: merged equals unmerged`, async () => {
        const { id, directory } = await load(kind);
        const live = await logits(id);
        assert.ok(difference(live, stage(untouched)) > 1e-2, 'the adapter matters');
        const output = mkdtempSync(join(folder, 'merged-'));
        await mergeAdapter({ model: base, adapters: [directory], output, dtype: 'fp32' });
        const merged = await golden.loadNative(output, { dtype: 'fp32' });
        const error = difference(stage(await merged.trace(prompt, []).promise), live);
        await merged.dispose().promise;
        await model.unloadAdapter(id).promise;
        assert.ok(error <= 1e-4, `off by ${error}`);
      });
    }

    it('a stack is the sum of its adapters, and merging them in order the same', async () => {
      const [a, b] = [
        await load({ seed: 3, targets: '.*', b: 0.05 }),
        await load({ seed: 4, rank: 2 }),
      ];
      const stacked = await logits(a.id, b.id);
      assert.ok(difference(stacked, await logits(a.id)) > 1e-2);
      assert.ok(difference(stacked, await logits(b.id)) > 1e-2);
      assert.ok(difference(await logits(b.id, a.id), stacked) <= 1e-4);
      const output = join(folder, 'both');
      const adapters = [a.directory, b.directory];
      await mergeAdapter({ model: base, adapters, output, dtype: 'fp32' });
      const merged = await golden.loadNative(output, { dtype: 'fp32' });
      const error = difference(stage(await merged.trace(prompt, []).promise), stacked);
      await merged.dispose().promise;
      assert.ok(error <= 1e-4, `off by ${error}`);
    });

    it('prefixes and image vectors of one stack are never used under another', async () => {
      const [text, vision] = [await load({ seed: 5 }), await load({ seed: 6, targets: '.*' })];
      const choose = async (ids: number[], usesPrefixCache: boolean) =>
        model.choose({
          prompt,
          adapters: ids,
          choices: [Int32Array.of(5, 6, 7)],
          usesPrefixCache,
          prefixGroup: 0,
        }).promise;
      const stacks = [[], [text.id], [vision.id], [text.id, vision.id], [vision.id, text.id], []];
      const fresh = new Map<string, number>();
      for (const stack of stacks) {
        await model.clearCaches().promise;
        fresh.set(String(stack), (await choose(stack, false)).logProbs[0] ?? NaN);
      }
      await model.clearCaches().promise;
      for (const isWarm of [false, true]) {
        for (const stack of stacks.slice(0, -1)) {
          const { logProbs, cachedTokens } = await choose(stack, true);
          const want = fresh.get(String(stack)) ?? NaN;
          const what = `${isWarm ? 'second' : 'first'} round, stack [${stack.join(', ')}]`;
          assert.ok(Math.abs((logProbs[0] ?? NaN) - want) <= 1e-4 * Math.abs(want), what);
          assert.equal(cachedTokens, isWarm ? prompt.ids.length - 1 : 0, what);
        }
      }
      assert.equal(
        new Set([...fresh.values()].map((value) => value.toFixed(2))).size,
        4,
        'four different stacks, order aside',
      );
    });

    it('DoRA on bf16 weights, whichever form the processor keeps them in: merged equals unmerged', async () => {
      const kind = KINDS['everywhere, DoRA'];
      assert.ok(kind);
      const directory = await writeAdapter(base, mkdtempSync(join(folder, 'adapter-')), kind);
      const { model: config } = await readCheckpointConfig(base);
      const { source } = await readAdapter(directory, config);
      const output = mkdtempSync(join(folder, 'merged-'));
      await mergeAdapter({ model: base, adapters: [directory], output, dtype: 'fp32' });
      const exact = await golden.loadNative(output, { dtype: 'fp32' });
      const narrow = await golden.loadNative(base, { dtype: 'bf16' });
      try {
        const truth = stage(await exact.trace(prompt, []).promise);
        const { id } = await narrow.loadAdapter(source).promise;
        const live = difference(stage(await narrow.trace(prompt, [id]).promise), truth);
        assert.ok(live < 0.05, `${live}`);
      } finally {
        await exact.dispose().promise;
        await narrow.dispose().promise;
      }
    });

    it("older versions' key form is the same adapter", async () => {
      const { id, directory } = await load({ seed: 9, targets: '.*', usesDora: true });
      const renamed = [...readRaw(directory)].map(([key, tensor]): [string, RawTensor] => [
        key
          .replace('model.model.language_model.', 'model.language_model.model.')
          .replace(/model\.model\.(vision_tower|multi_modal)/, 'model.$1')
          .replace(/lora_magnitude_vector$/, 'lora_magnitude_vector.weight'),
        tensor,
      ]);
      writeSafetensors(join(directory, 'adapter_model.safetensors'), new Map(renamed));
      const { model: config } = await readCheckpointConfig(base);
      const { source } = await readAdapter(directory, config);
      const older = await model.loadAdapter(source).promise;
      assert.deepEqual((await logits(older.id)).data, (await logits(id)).data);
    });

    it('image vectors follow vision adapters only', async () => {
      const [text, vision] = [await load({ seed: 7 }), await load({ seed: 8, targets: '.*fc1' })];
      const embed = async (...ids: number[]): Promise<NativeTensor> => {
        const [first] = await model.embedImages(prompt.images, ids).promise;
        assert.ok(first);
        return first;
      };
      const visionMs = async (id: number): Promise<number> => {
        const request = { prompt, adapters: [id], choices: [Int32Array.of(5)] };
        return (await model.choose({ ...request, usesPrefixCache: false, prefixGroup: 0 }).promise)
          .timings.vision;
      };
      const plain = await embed();
      assert.deepEqual((await embed(text.id)).data, plain.data);
      assert.equal(await visionMs(text.id), 0); // the base's vectors serve
      assert.ok((await visionMs(vision.id)) > 0);
      assert.ok(difference(await embed(vision.id), plain) > 1e-3);
      assert.deepEqual((await embed()).data, plain.data);
    });
  });
}
