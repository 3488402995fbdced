/** Losses, gradients and adapters of the oracle's training runs (transformers + PEFT, fp32), step for step. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type {
  NativeTrainer,
  NativeTrainerRequest,
  NativeTrainSample,
} from '../../lib/binding/native.js';
import { GOLDEN } from '../support/golden.js';
import { readSafetensors } from '../support/safetensors.js';
import { createTrainer, type GoldenRun, goldenRun, goldenSamples } from '../support/training.js';

const ADAPTER = join(GOLDEN, 'train-lora', 'adapter_init', 'adapter_model.safetensors');

/** Names of the oracle's tensors, from ours. */
function oracleName(name: string): string {
  return name
    .replace(/(lora_[AB])\.weight$/, '$1.default.weight')
    .replace(/^language_model\.lm_head\./, 'lm_head.')
    .replace(/^language_model\.model\./, 'model.language_model.')
    .replace(/^(vision_tower|multi_modal_projector)\./, 'model.$1.');
}

function near(actual: number, expected: number, tolerance: number, what: string): void {
  const error = Math.abs(actual - expected) / Math.max(Math.abs(expected), 1e-12);
  assert.ok(error <= tolerance, `${what}: ${actual}, expected ${expected} (relative ${error})`);
}

async function replay(
  name: string,
  overrides: Partial<NativeTrainerRequest>,
  after: (trainer: NativeTrainer, run: GoldenRun) => Promise<void> = async () => {},
): Promise<void> {
  const run = goldenRun(name);
  const samples = await goldenSamples(run);
  const trainer = await createTrainer({
    adapterFile: ADAPTER,
    weightDecay: run.settings.weight_decay,
    ...overrides,
  });
  try {
    for (const [index, step] of run.steps.entries()) {
      let loss = 0;
      for (const [k, picked] of step.samples.entries()) {
        const batch = picked.map((i) => samples[i] as NativeTrainSample);
        const result = await trainer.accumulate({
          samples: batch,
          denominator: step.label_tokens,
          draw: 0,
          isLast: k === step.samples.length - 1,
        }).promise;
        loss += result.loss;
      }
      near(loss, step.loss, 1e-5, `loss of step ${index}`);
      if (step.grad_l2 !== undefined) {
        const norms = new Map(
          (await trainer.gradientNorms().promise).map(([key, norm]) => [oracleName(key), norm]),
        );
        assert.deepEqual([...norms.keys()].sort(), Object.keys(step.grad_l2).sort());
        const largest = Math.max(...Object.values(step.grad_l2));
        // From the second step on AdamW has turned near-zero gradients into steps of either sign.
        const tolerance = index === 0 ? 1e-5 : 1e-3;
        for (const [key, norm] of Object.entries(step.grad_l2)) {
          const difference = Math.abs((norms.get(key) ?? NaN) - norm);
          assert.ok(difference <= tolerance * Math.max(norm, 1e-2 * largest), `gradient of ${key}`);
        }
      }
      const { gradNorm } = await trainer.update({
        learningRate: step.lr,
        maxGradNorm: run.settings.max_grad_norm,
      }).promise;
      near(gradNorm, step.grad_norm, 1e-5, `gradient norm of step ${index}`);
    }
    const labels = run.samples.reduce(
      (sum, sample) => sum + sample.labels.filter((label) => label !== -100).length,
      0,
    );
    const last = await trainer.evaluate({ samples, denominator: labels, draw: 0, isLast: true })
      .promise;
    near(last.loss, run.loss_after, 1e-5, 'loss after');
    await after(trainer, run);
  } finally {
    await trainer.dispose().promise;
  }
}

async function checkAdapter(trainer: NativeTrainer): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'facellm-golden-'));
  try {
    const file = join(folder, 'adapter_model.safetensors');
    await trainer.saveAdapter(file).promise;
    const ours = readSafetensors(file);
    const theirs = readSafetensors(
      join(GOLDEN, 'train-lora', 'adapter_final', 'adapter_model.safetensors'),
    );
    assert.deepEqual([...ours.keys()].sort(), [...theirs.keys()].sort());
    for (const [key, { data }] of theirs) {
      const own = ours.get(key)?.data ?? [];
      data.forEach((value, i) => {
        assert.ok(Math.abs(Number(own[i]) - Number(value)) <= 1e-4, `${key}[${i}]`);
      });
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const FULL = {
  modules: [],
  adapterFile: '',
  parts: ['vision', 'projector', 'text', 'head'],
} as const;

describe('golden training', function () {
  this.timeout(120_000);
  const variants: readonly (readonly [string, Partial<NativeTrainerRequest>])[] = [
    ['', {}],
    [', activations recomputed', { checkpointsActivations: true }],
    [', loss in chunks of 7 rows', { lossChunkRows: 7 }],
    [', image vectors cached', { featureCacheBytes: 1 << 24 }],
  ];
  for (const [how, overrides] of variants) {
    it(`LoRA${how}`, () => replay('train-lora', overrides, checkAdapter));
    it(`LoRA, accumulation, warm-up and decay${how}`, () => replay('train-lora-accum', overrides));
    it(`full fine-tuning${how}`, () => replay('train-full', { ...overrides, ...FULL }));
  }
});
