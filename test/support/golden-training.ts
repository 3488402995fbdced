/** The oracle's training runs (transformers + PEFT, fp32), replayed step for step in one process or several. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type {
  NativeProcessGroup,
  NativeTrainer,
  NativeTrainerRequest,
  NativeTrainSample,
} from '../../lib/binding/native.js';
import { equalShare } from '../../lib/training/order.js';
import { GOLDEN } from './golden.js';
import { readSafetensors } from './safetensors.js';
import { createTrainer, goldenRun, goldenSamples, NO_ANSWERS } from './training.js';

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

export interface ReplayOptions {
  /** Folder of the run in the golden data. */
  readonly name: string;
  readonly overrides?: Partial<NativeTrainerRequest>;
  readonly after?: (trainer: NativeTrainer) => Promise<void>;
  /** Each rank computes its share of every micro-batch. */
  readonly group?: NativeProcessGroup;
  /** One micro-batch of all samples of an update, instead of several. */
  readonly joinsMicroBatches?: boolean;
}

/** Fails at the first number that differs from the oracle's. */
export async function replay(options: ReplayOptions): Promise<void> {
  const { name, overrides = {}, group } = options;
  const { rank, size } = group?.info() ?? { rank: 0, size: 1 };
  const total = async (value: number): Promise<number> =>
    group === undefined ? value : ((await group.sum([value]).promise)[0] ?? NaN);
  const run = goldenRun(name);
  const samples = await goldenSamples(run);
  const request = { adapterFile: ADAPTER, weightDecay: run.settings.weight_decay, ...overrides };
  const trainer = await createTrainer(request, 'fp32', group);
  try {
    for (const [index, step] of run.steps.entries()) {
      let loss = 0;
      const batches = options.joinsMicroBatches ? [step.samples.flat()] : step.samples;
      for (const [k, picked] of batches.entries()) {
        const batch = equalShare(picked, rank, size).map((i) => samples[i] as NativeTrainSample);
        const result = await trainer.accumulate({
          samples: batch,
          denominator: step.label_tokens,
          ...NO_ANSWERS,
          draw: 0,
          isLast: k === batches.length - 1,
        }).promise;
        loss += result.loss;
      }
      near(await total(loss), step.loss, 1e-5, `loss of step ${index}`);
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
    const last = await trainer.evaluate({
      ...{ samples, denominator: labels, draw: 0, isLast: true },
      ...NO_ANSWERS,
    }).promise;
    near(last.loss, run.loss_after, 1e-5, 'loss after');
    await options.after?.(trainer);
  } finally {
    await trainer.dispose().promise;
  }
}

/** The trained adapter against the oracle's. */
export async function checkAdapter(trainer: NativeTrainer): Promise<void> {
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

/** All parts trained, as the oracle's full run. */
export const FULL = {
  modules: [],
  adapterFile: '',
  parts: ['vision', 'projector', 'text', 'head'],
} as const;
