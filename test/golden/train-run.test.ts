/** The public train() over the oracle's records: the same tokens, losses and adapter, through every layer. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { loadAddon } from '../../lib/binding/load.js';
import { readCheckpointConfig } from '../../lib/checkpoint/index.js';
import { readDataset } from '../../lib/data/index.js';
import type { TrainingRecipe } from '../../lib/index.js';
import { TokenizerThread } from '../../lib/tokenizer/index.js';
import { SampleSet } from '../../lib/training/sample-set.js';
import { GOLDEN } from '../support/golden.js';
import { readSafetensors } from '../support/safetensors.js';
import { BASE, checkRun, DATASET, goldenRecipe, goldenRun } from '../support/training.js';

describe('golden training run', function () {
  this.timeout(120_000);
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-train-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  it('records become the ids and labels of the reference', async () => {
    const run = goldenRun('train-lora');
    const dataset = await readDataset(DATASET);
    await using coder = await TokenizerThread.load(BASE);
    const parts = { addon: loadAddon(), config: await readCheckpointConfig(BASE), coder };
    const samples = await SampleSet.encode(
      dataset.records,
      { ...parts, recipe: goldenRecipe(run) },
      () => undefined,
    );
    assert.equal(samples.dropped, 0);
    for (const [i, golden] of run.samples.entries()) {
      const { samples: loaded, answers } = await samples.load(i, 0);
      assert.deepEqual([loaded.length, answers], [1, undefined]);
      const { ids = [], labels = [], images = [] } = loaded[0] ?? {};
      assert.deepEqual([...ids], golden.input_ids, `ids of record ${i}`);
      assert.deepEqual([...labels], golden.labels, `labels of record ${i}`);
      assert.equal(images.length, golden.tiles.length);
    }
  });

  it('LoRA from an adapter: losses, gradient norms, learning rates and the adapter', async () => {
    const run = goldenRun('train-lora');
    const recipe = goldenRecipe(run);
    const output = join(folder, 'lora');
    const init = join(GOLDEN, 'train-lora', 'adapter_init');
    await checkRun({ run, recipe, output, adapter: init });
    const ours = readSafetensors(join(output, 'adapter_model.safetensors'));
    const theirs = readSafetensors(
      join(GOLDEN, 'train-lora', 'adapter_final', 'adapter_model.safetensors'),
    );
    assert.deepEqual([...ours.keys()].sort(), [...theirs.keys()].sort());
    for (const [key, { data }] of theirs) {
      const own = ours.get(key)?.data ?? [];
      data.forEach((value, i) =>
        assert.ok(Math.abs(Number(own[i]) - Number(value)) <= 1e-4, `${key}[${i}]`),
      );
    }
    const config = JSON.parse(readFileSync(join(output, 'adapter_config.json'), 'utf8')) as Record<
      string,
      unknown
    >;
    const golden = JSON.parse(
      readFileSync(join(GOLDEN, 'train-lora', 'adapter_final', 'adapter_config.json'), 'utf8'),
    ) as Record<string, unknown>;
    for (const key of ['peft_type', 'task_type', 'r', 'lora_alpha', 'bias', 'use_dora']) {
      assert.deepEqual(config[key], golden[key], key);
    }
  });

  it('accumulation, warm-up and decay', async () => {
    const run = goldenRun('train-lora-accum');
    const recipe = goldenRecipe(run);
    const init = join(GOLDEN, 'train-lora', 'adapter_init');
    await checkRun({ run, recipe, output: join(folder, 'accum'), adapter: init });
  });

  it('full fine-tuning', async () => {
    const run = goldenRun('train-full');
    const recipe: TrainingRecipe = {
      ...goldenRecipe(run),
      lora: null,
      parts: ['vision', 'projector', 'text', 'head'],
    };
    await checkRun({ run, recipe, output: join(folder, 'full') });
  });
});
