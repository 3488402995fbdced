/** Training runs on the oracle's pictures and records, for golden and end-to-end tests. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import sharp from 'sharp';

import { loadAddon } from '../../lib/binding/load.js';
import type {
  NativeProcessGroup,
  NativeTrainedModule,
  NativeTrainer,
  NativeTrainerRequest,
  NativeTrainImage,
  NativeTrainSample,
} from '../../lib/binding/native.js';
import { readCheckpointConfig, readCheckpointFiles } from '../../lib/checkpoint/index.js';
import {
  facellm1b,
  type RecipeBase,
  train,
  type TrainingEvent,
  type TrainingRecipe,
} from '../../lib/index.js';
import { resolveTargets } from '../../lib/lora/index.js';
import { keptForm, resolveWeights } from '../../lib/model/index.js';
import { planUpdates } from '../../lib/training/order.js';
import { GOLDEN, TEST_DEVICE } from './golden.js';

/** Side of a tile of the tiny checkpoints. */
const TILE = 56;
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

export function goldenRun(name: string, folder: string = GOLDEN): GoldenRun {
  return JSON.parse(readFileSync(join(folder, name, 'train.json'), 'utf8')) as GoldenRun;
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
    const plans = planUpdates({ lengths, pictures: [] }, 1, { ...recipe, seed });
    if (JSON.stringify(plans.map(({ microBatches }) => microBatches.map(sorted))) === wanted) {
      return seed;
    }
  }
  throw new Error('no seed gives the order of the oracle');
}

function sorted(batch: readonly number[]): number[] {
  return [...batch].sort((a, b) => a - b);
}

/** The oracle's samples with their pictures cut to one tile each. */
export async function goldenSamples(run: GoldenRun): Promise<NativeTrainSample[]> {
  return Promise.all(
    run.samples.map(async ({ input_ids, labels, tiles }, index) => ({
      ids: Int32Array.from(input_ids),
      labels: Int32Array.from(labels),
      weight: 1,
      images: await Promise.all(
        tiles.map(async (_, k): Promise<NativeTrainImage> => {
          const path = join(GOLDEN, 'train-images', `${index}_${k}.png`);
          const { data, info } = await sharp(path)
            .removeAlpha()
            .raw()
            .toBuffer({ resolveWithObject: true });
          const image = { key: path, rgb: data, width: info.width, height: info.height };
          const grid = { columns: 1, rows: 1, hasThumbnail: false };
          return {
            key: path,
            tiles: await loadAddon().tilePixels({ ...image, ...grid }, TILE).promise,
          };
        }),
      ),
    })),
  );
}

/** Modules that a LoRA of these targets adapts, rank 16 and alpha 32. */
export async function loraModules(
  targets: string | readonly string[],
): Promise<readonly NativeTrainedModule[]> {
  const lora = {
    rank: 16,
    alpha: 32,
    targets,
    rankPattern: {},
    alphaPattern: {},
    usesRsLora: false,
  };
  return resolveTargets((await readCheckpointConfig(BASE)).model, lora);
}

/** A trainer of the tiny checkpoint in fp32: a fresh LoRA on all text layers unless told otherwise. */
export async function createTrainer(
  overrides: Partial<NativeTrainerRequest> = {},
  dtype: 'fp32' | 'bf16' = 'fp32',
  group?: NativeProcessGroup,
  { model = BASE, base = 'stored' }: { readonly model?: string; readonly base?: RecipeBase } = {},
): Promise<NativeTrainer> {
  const [files, config] = await Promise.all([
    readCheckpointFiles(model),
    readCheckpointConfig(model),
  ]);
  const kept = base === 'stored' ? undefined : keptForm(config.model.quantisation);
  const request: NativeTrainerRequest = {
    load: {
      config: config.model,
      preprocessing: config.preprocessing,
      files: files.dataFiles,
      weightMap: files.weightMap,
      device: TEST_DEVICE,
      dtype,
      weights: resolveWeights({ text: base }, config.model.text, kept),
      mmap: false,
      imageCacheBytes: 0,
      prefixCacheBytes: 0,
      ...{ kvBytes: 0, maxRows: 1, maxContext: 1, deterministic: false },
    },
    modules: await loraModules('all'),
    parts: [],
    usesDora: false,
    dropout: 0,
    adapterFile: '',
    seed: 1,
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    weightDecay: 0,
    decaysVectors: true,
    rates: { vision: 1, projector: 1, text: 1, head: 1, layerDecay: 1 },
    checkpointsActivations: false,
    lossChunkRows: 0,
    sharesPrefix: false,
    shardsWeights: false,
    featureCacheBytes: 0,
    ...overrides,
  };
  return loadAddon().createTrainer(request, () => {}, group).promise;
}

/** Of micro-batches that are learnt from token by token. */
export const NO_ANSWERS = { answerSets: [], answersDenominator: 1 } as const;

/** Runs train() in the oracle's order; losses, gradient norms and rates of every step must be the oracle's. */
export async function checkRun({
  run,
  recipe,
  output,
  adapter,
  model = BASE,
}: {
  readonly run: GoldenRun;
  readonly recipe: TrainingRecipe;
  readonly output: string;
  readonly adapter?: string;
  readonly model?: string;
}): Promise<void> {
  const started = train({
    recipe: { ...recipe, seed: seedFor(run, recipe) },
    ...{ model, data: DATASET, output, adapter, device: TEST_DEVICE },
  });
  const steps: Extract<TrainingEvent, { type: 'step' }>[] = [];
  for await (const event of started) if (event.type === 'step') steps.push(event);
  assert.ok((await started).isComplete);
  assert.equal(steps.length, run.steps.length);
  run.steps.forEach((golden, i) => {
    const near = (actual: number | undefined, expected: number, what: string): void =>
      assert.ok(
        Math.abs((actual ?? NaN) - expected) <= 1e-5 * Math.abs(expected),
        `${what} of step ${i}: ${actual}, expected ${expected}`,
      );
    near(steps[i]?.loss, golden.loss, 'loss');
    near(steps[i]?.gradNorm, golden.grad_norm, 'gradient norm');
    assert.ok(Math.abs((steps[i]?.learningRate ?? NaN) - golden.lr) <= 1e-12, `rate of step ${i}`);
  });
}
