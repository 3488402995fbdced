/** PEFT's adapter of the oracle's LoRA run, at work and merged: the oracle's logits after its last step. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import sharp from 'sharp';

import type { NativePrompt, NativeTensor } from '../../lib/binding/native.js';
import { readCheckpointConfig } from '../../lib/checkpoint/index.js';
import { readAdapter } from '../../lib/lora/index.js';
import { mergeAdapter } from '../../lib/model/index.js';
import * as golden from '../support/golden.js';
import { readSafetensors, type StoredTensor } from '../support/safetensors.js';

const BASE = join(golden.GOLDEN, 'ckpt-300m');
const RUN = join(golden.GOLDEN, 'train-lora');
const ADAPTER = join(RUN, 'adapter_final');

/** The first sample up to its first answer, which is what the oracle probed. */
async function probePrompt(): Promise<NativePrompt> {
  const { samples } = JSON.parse(readFileSync(join(RUN, 'train.json'), 'utf8')) as {
    samples: { input_ids: number[]; labels: number[] }[];
  };
  const { input_ids = [], labels = [] } = samples[0] ?? {};
  const path = join(golden.GOLDEN, 'train-images', '0_0.png');
  const { data, info } = await sharp(path)
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  const size = { width: info.width, height: info.height };
  const image = { key: path, rgb: data, ...size, columns: 1, rows: 1, hasThumbnail: false };
  const end = labels.findIndex((label) => label !== -100);
  return { ids: Int32Array.from(input_ids.slice(0, end)), images: [image] };
}

function lastLogits(stages: readonly NativeTensor[]): NativeTensor {
  const found = stages.find(({ name }) => name === 'logits.last');
  assert.ok(found);
  return found;
}

describe('golden: adapters', () => {
  const probe = readSafetensors(join(RUN, 'probe.safetensors'));
  const [logitsAfter, merged] = ['logits.after', 'logits.merged'].map(
    (name) => probe.get(name) as StoredTensor,
  ) as [StoredTensor, StoredTensor];
  let folder: string;
  before(() => (folder = mkdtempSync(join(tmpdir(), 'facellm-golden-'))));
  after(() => rmSync(folder, { recursive: true }));

  it("PEFT's adapter gives PEFT's logits, in fp32 and in bf16", async () => {
    const { model } = await readCheckpointConfig(BASE);
    const { source } = await readAdapter(ADAPTER, model);
    const prompt = await probePrompt();
    for (const [dtype, tolerance] of [
      ['fp32', 1e-4],
      ['bf16', 2e-2],
    ] as const) {
      const native = await golden.loadNative(BASE, { dtype });
      const { id } = await native.loadAdapter(source).promise;
      const logits = lastLogits(await native.trace(prompt, [id]).promise);
      const error = golden.relativeError(logits, logitsAfter);
      assert.ok(error <= tolerance, `${dtype}: off by ${error}`);
      const base = lastLogits(await native.trace(prompt, []).promise);
      assert.ok(golden.relativeError(base, logitsAfter) > 3 * tolerance, 'the adapter matters');
      await native.dispose().promise;
    }
  });

  it("merged in fp32 it gives PEFT's logits after merge_and_unload", async () => {
    const output = join(folder, 'merged');
    await mergeAdapter({ model: BASE, adapters: [ADAPTER], output, dtype: 'fp32' });
    const native = await golden.loadNative(output, { dtype: 'fp32' });
    const logits = lastLogits(await native.trace(await probePrompt(), []).promise);
    const error = golden.relativeError(logits, merged);
    assert.ok(error <= 1e-4, `off by ${error}`);
    await native.dispose().promise;
  });
});
