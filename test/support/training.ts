/** Training runs on the oracle's pictures and records, for golden and end-to-end tests. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { facellm1b, type TrainingRecipe } from '../../lib/index.js';
import { planUpdates } from '../../lib/training/order.js';
import { GOLDEN } from './golden.js';

export const BASE: string = join(GOLDEN, 'ckpt-300m');
export const DATASET: string = join(GOLDEN, 'train-images', 'dataset.json');

export interface GoldenRun {
  readonly settings: {
    readonly steps: number;
    readonly batch_size: number;
    readonly grad_accum: number;
    readonly lr: number;
    readonly warmup_steps: number;
    readonly weight_decay: number;
    readonly max_grad_norm: number;
  };
  readonly samples: readonly {
    readonly input_ids: readonly number[];
    readonly labels: readonly number[];
    readonly tiles: readonly number[];
  }[];
  readonly steps: readonly {
    readonly samples: readonly (readonly number[])[];
    readonly lr: number;
    readonly label_tokens: number;
    readonly loss: number;
    readonly grad_norm: number;
    readonly grad_l2?: Readonly<Record<string, number>>;
  }[];
  readonly loss_after: number;
  readonly change_l2: Readonly<Record<string, number>>;
}

export function goldenRun(name: string): GoldenRun {
  return JSON.parse(readFileSync(join(GOLDEN, name, 'train.json'), 'utf8')) as GoldenRun;
}

/** FaceLLM's recipe with the oracle's settings, in fp32. */
export function goldenRecipe(run: GoldenRun): TrainingRecipe {
  const { settings } = run;
  return {
    ...facellm1b(),
    name: 'golden',
    learningRate: settings.lr,
    schedule: 'cosine',
    warmupSteps: settings.warmup_steps,
    weightDecay: settings.weight_decay,
    decaysVectors: true,
    maxGradNorm: settings.max_grad_norm,
    batchSize: settings.batch_size,
    accumulation: settings.grad_accum,
    maxSteps: settings.steps,
    lossNormalisation: 'window',
    dtype: 'fp32',
    logEvery: 1,
    saveEvery: 0,
    featureCacheMegabytes: 16,
    // The oracle calls the processor on pictures as they are.
    limitsImageArea: false,
  };
}

/** A seed with which our order visits the samples as the oracle did; within a micro-batch order is free. */
export function seedFor(run: GoldenRun, recipe: TrainingRecipe): number {
  const wanted = JSON.stringify(run.steps.map((step) => step.samples.map(sorted)));
  const lengths = run.samples.map(({ input_ids }) => input_ids.length);
  for (let seed = 0; seed < 1_000_000; seed++) {
    const plans = planUpdates(lengths, 1, { ...recipe, seed });
    if (JSON.stringify(plans.map(({ microBatches }) => microBatches.map(sorted))) === wanted) {
      return seed;
    }
  }
  throw new Error('no seed gives the order of the oracle');
}

function sorted(batch: readonly number[]): number[] {
  return [...batch].sort((a, b) => a - b);
}
