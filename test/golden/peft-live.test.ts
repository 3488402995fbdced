/**
 * Adapters and exports against PEFT and transformers themselves, on the spot: theirs loaded here, ours loaded there,
 * exported folders opened by transformers. Optional: FACELLM_ORACLE_PYTHON names a Python with torch, transformers,
 * peft and safetensors.
 */
import assert from 'node:assert/strict';
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import type { NativePrompt, NativeTensor } from '../../lib/binding/native.js';
import { readCheckpointConfig } from '../../lib/checkpoint/index.js';
import { readAdapter } from '../../lib/lora/index.js';
import { exportModel, mergeAdapter } from '../../lib/model/index.js';
import { type AdapterKind, floats, writeAdapter } from '../support/adapters.js';
import * as golden from '../support/golden.js';
import { writeSafetensors } from '../support/original-layout.js';
import { readSafetensors, type StoredTensor } from '../support/safetensors.js';
import { NEEDS_ORACLE, skip } from '../support/skip.js';

const PYTHON = process.env['FACELLM_ORACLE_PYTHON'];
const SCRIPT = join(import.meta.dirname, '..', '..', 'scripts', 'peft-reference.py');
const BASE = join(golden.GOLDEN, 'ckpt-300m');

/** As PEFT's LoraConfig takes them. */
const TEXT = '.*language_model.*\\.(q|k|v|o|gate|up|down)_proj';
const THEIRS: Readonly<Record<string, object>> = {
  LoRA: { r: 4, lora_alpha: 8, target_modules: TEXT },
  rsLoRA: { r: 4, lora_alpha: 8, use_rslora: true, target_modules: ['q_proj', 'v_proj', 'down_proj'] },
  DoRA: { r: 4, lora_alpha: 8, use_dora: true, target_modules: TEXT },
  'rank and alpha patterns': {
    r: 4,
    lora_alpha: 8,
    target_modules: TEXT,
    rank_pattern: { q_proj: 2, 'layers.1.mlp.up_proj': 8 },
    alpha_pattern: { 'self_attn.v_proj': 32 },
  },
  'vision and projector': {
    r: 4,
    lora_alpha: 4,
    target_modules: ['fc1', 'projection_layer', 'linear_1', 'linear_2', 'k_proj'],
  },
  'all-linear, DoRA, rsLoRA': {
    ...{ r: 2, lora_alpha: 2, use_dora: true, use_rslora: true },
    target_modules: 'all-linear',
  },
  'chosen layers without some': {
    ...{ r: 4, lora_alpha: 8, target_modules: ['q_proj', 'up_proj'] },
    ...{ layers_to_transform: [1], layers_pattern: 'layers', exclude_modules: ['up_proj'] },
  },
};
const OURS: Readonly<Record<string, AdapterKind>> = {
  LoRA: {},
  'rsLoRA on everything': { targets: '.*', usesRsLora: true, b: 0.05 },
  DoRA: { usesDora: true },
  patterns: { rankPattern: { q_proj: 8 }, alphaPattern: { 'mlp.down_proj': 1 } },
};

describe(`PEFT, live`, function () {
  this.timeout(600_000);
  let folder: string;
  let prompt: NativePrompt;
  let request: string;
  before(async function () {
    if (PYTHON === undefined) return;
    folder = mkdtempSync(join(tmpdir(), 'facellm-peft-live-'));
    const one = golden
      .goldenCases('300m')
      .find(({ name, dtype }) => name === 'face_tiled' && dtype === 'fp32');
    assert.ok(one);
    prompt = await golden.goldenPrompt(one);
    // The pictures as our own preprocessing gives them, which other golden tests hold to the reference.
    const model = await golden.loadNative(BASE, { dtype: 'fp32' });
    const pixels = find(await model.trace(prompt, []).promise, 'pixel_values');
    await model.dispose().promise;
    const file = join(folder, 'pixels.safetensors');
    writeSafetensors(file, new Map([['pixel_values', floats(pixels.data, pixels.shape)]]));
    request = join(folder, 'request.json');
    writeFileSync(request, JSON.stringify({ input_ids: [...prompt.ids], pixel_values: file }));
  });
  after(() => {
    reference?.child.kill();
    if (folder) rmSync(folder, { recursive: true });
  });

  // One process for all tests: to import torch and transformers takes it longer than any of the jobs.
  interface Reference {
    readonly child: ChildProcessWithoutNullStreams;
    readonly answers: AsyncIterator<string, undefined>;
    told: string;
  }
  let reference: Reference | undefined;

  function startReference(): Reference {
    const child = spawn(PYTHON as string, [SCRIPT]);
    const answers = createInterface(child.stdout)[Symbol.asyncIterator]();
    const started: Reference = { child, answers, told: '' };
    child.stderr.on('data', (piece: Buffer) => (started.told += piece.toString()));
    return started;
  }

  /** What each job comes to, one after the other. */
  async function python(...jobs: readonly object[]): Promise<unknown[]> {
    const asked = (reference ??= startReference());
    const results: unknown[] = [];
    for (const job of jobs) {
      asked.child.stdin.write(`${JSON.stringify(job)}\n`);
      const { value } = await asked.answers.next();
      if (value === undefined) {
        reference = undefined;
        assert.fail(`${JSON.stringify(job)}: ${asked.told}`);
      }
      results.push(JSON.parse(value));
    }
    return results;
  }

  interface Wanted {
    readonly model: string;
    readonly adapters?: readonly string[];
    readonly dtype?: 'float32' | 'bfloat16';
  }

  /** Logits of transformers and PEFT, after other jobs of the same process. */
  async function theirLogits(
    wanted: readonly Wanted[],
    ...before: readonly object[]
  ): Promise<StoredTensor[]> {
    const jobs = wanted.map(({ model, adapters = [], dtype = 'float32' }) => {
      const out = join(mkdtempSync(join(folder, 'logits-')), 'logits.safetensors');
      return { action: 'logits', model, adapters, dtype, request, out };
    });
    await python(...before, ...jobs);
    return jobs.map(({ out }) => readSafetensors(out).get('logits.last') as StoredTensor);
  }

  async function ourLogits(
    directory: string,
    adapters: readonly string[] = [],
    dtype: golden.DtypeName = 'fp32',
  ): Promise<NativeTensor> {
    const model = await golden.loadNative(directory, { dtype });
    try {
      const config = await readCheckpointConfig(directory);
      const ids: number[] = [];
      for (const adapter of adapters) {
        const { source } = await readAdapter(adapter, config.model);
        ids.push((await model.loadAdapter(source).promise).id);
      }
      return find(await model.trace(prompt, ids).promise, 'logits.last');
    } finally {
      await model.dispose().promise;
    }
  }

  function assertClose(
    actual: NativeTensor,
    expected: StoredTensor | undefined,
    tolerance = 1e-4,
  ): void {
    assert.ok(expected);
    const error = golden.relativeError(actual, expected);
    assert.ok(error <= tolerance, `off by ${error.toExponential(2)}`);
  }

  for (const [name, kind] of Object.entries(THEIRS)) {
    it(`an adapter of PEFT's works and merges here: ${name}`, async function () {
      if (PYTHON === undefined) return skip(this, NEEDS_ORACLE);
      const out = mkdtempSync(join(folder, 'theirs-'));
      const adapters = [out];
      const [expected, inBf16] = await theirLogits(
        [
          { model: BASE, adapters },
          { model: BASE, adapters, dtype: 'bfloat16' },
        ],
        { action: 'make', model: BASE, out, kind, seed: 3 },
      );
      assertClose(await ourLogits(BASE, adapters), expected);
      assertClose(await ourLogits(BASE, adapters, 'bf16'), inBf16, 2e-2);
      const output = mkdtempSync(join(folder, 'merged-'));
      await mergeAdapter({ model: BASE, adapters, output, dtype: 'fp32' });
      assertClose(await ourLogits(output), expected);
      assertClose(asNative((await theirLogits([{ model: output }]))[0]), expected);
    });
  }

  it('adapters of ours work in PEFT, alone and two at once', async function () {
    if (PYTHON === undefined) return skip(this, NEEDS_ORACLE);
    const stacks: string[][] = [];
    for (const kind of Object.values(OURS)) {
      stacks.push([await writeAdapter(BASE, mkdtempSync(join(folder, 'ours-')), kind)]);
    }
    const second = { seed: 22, rank: 2, targets: '.*', b: 0.05 };
    stacks.push([
      await writeAdapter(BASE, join(folder, 'first'), { seed: 21 }),
      await writeAdapter(BASE, join(folder, 'second'), second),
    ]);
    const expected = await theirLogits(stacks.map((adapters) => ({ model: BASE, adapters })));
    for (const [i, stack] of stacks.entries()) {
      assertClose(await ourLogits(BASE, stack), expected[i]);
    }
  });

  it('two adapters merged one after the other in bf16 round once', async function () {
    if (PYTHON === undefined) return skip(this, NEEDS_ORACLE);
    const adapters = [join(folder, 'first'), join(folder, 'second')];
    const output = join(folder, 'both');
    await mergeAdapter({ model: BASE, adapters, output });
    const theirs = join(folder, 'both-theirs');
    const [expected] = await theirLogits([{ model: output, dtype: 'bfloat16' }], {
      ...{ action: 'merge', model: BASE, adapters, out: theirs, dtype: 'bfloat16' },
    });
    assertClose(await ourLogits(output, [], 'bf16'), expected, 2e-2);
    // One rounding of ours against two of theirs, each half a unit of bf16's 8 bits: 2^-9 of a weight, or of what is
    // added to it where they nearly cancel.
    const [a, b] = [output, theirs].map((path) => readSafetensors(join(path, 'model.safetensors')));
    const name = 'language_model.model.layers.0.mlp.up_proj.weight';
    const [ours, other] = [a?.get(name)?.data ?? [], b?.get(name)?.data ?? []];
    assert.ok(ours.length > 0 && ours.length === other.length);
    let largest = 0;
    ours.forEach((value) => (largest = Math.max(largest, Math.abs(Number(value)))));
    ours.forEach((value, i) => {
      const difference = Math.abs(Number(value) - Number(other[i]));
      assert.ok(difference <= 2 ** -8 * (Math.abs(Number(value)) + largest), `${name}[${i}]`);
    });
  });

  it('exported folders open in transformers: model, tokenizer and processor', async function () {
    if (PYTHON === undefined) return skip(this, NEEDS_ORACLE);
    const adapter = await writeAdapter(BASE, join(folder, 'export'), { seed: 31 });
    const shards = join(folder, 'shards');
    await mergeAdapter({ model: BASE, adapters: [adapter], output: shards, maxShardBytes: 2e5 });
    // From the original layout, whose tokenizer files know nothing of transformers' processor.
    const original = join(folder, 'original');
    await exportModel({ model: BASE, output: original, layout: 'original' });
    stripTokenizer(original);
    const back = join(folder, 'back');
    await exportModel({ model: original, output: back, layout: 'hf' });
    const [expected, ofShards, ofBack] = await python(
      ...[BASE, shards, back].map((model) => ({ action: 'check', model })),
    );
    assert.deepEqual(ofShards, expected);
    assert.deepEqual(ofBack, expected);
    const [whole, merged, returned] = await theirLogits(
      [BASE, shards, back].map((model) => ({ model })),
    );
    assertClose(await ourLogits(shards), merged);
    assertClose(asNative(returned), whole, 0);
  });

  it('a tied head stays tied in both layouts', async function () {
    if (PYTHON === undefined) return skip(this, NEEDS_ORACLE);
    const tied = join(folder, 'tied');
    cpSync(join(golden.GOLDEN, 'ckpt-6b'), tied, { recursive: true });
    for (const file of ['tokenizer.json', 'vocab.json', 'merges.txt']) {
      cpSync(join(BASE, file), join(tied, file));
    }
    const original = join(folder, 'tied-original');
    const back = join(folder, 'tied-back');
    await exportModel({ model: tied, output: original, layout: 'original' });
    await exportModel({ model: original, output: back, layout: 'hf' });
    const [before, after] = await theirLogits([{ model: tied }, { model: back }]);
    assertClose(asNative(after), before, 0);
  });
});

function find(stages: readonly NativeTensor[], name: string): NativeTensor {
  const found = stages.find((stage) => stage.name === name);
  assert.ok(found, name);
  return found;
}

function asNative(stored: StoredTensor | undefined): NativeTensor {
  assert.ok(stored);
  return { name: 'logits.last', shape: stored.shape, data: Float32Array.from(stored.data as Float32Array) };
}

/** Takes out what only the HF layout's tokenizer files say. */
function stripTokenizer(directory: string): void {
  rmSync(join(directory, 'chat_template.jinja'));
  for (const name of ['tokenizer_config.json', 'special_tokens_map.json']) {
    const path = join(directory, name);
    const json = JSON.parse(readFileSync(path, 'utf8')) as object;
    const kept = Object.entries(json).filter(
      ([key]) => !/image_token|video_token|extra_special|processor_class/.test(key),
    );
    writeFileSync(path, JSON.stringify(Object.fromEntries(kept)));
  }
}
