/** The oracle's training runs (transformers + PEFT, fp32), replayed step for step in one process or several. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import sharp from 'sharp';

import { loadAddon } from '../../lib/binding/load.js';
import type {
  NativeProcessGroup,
  NativeTrainer,
  NativeTrainerRequest,
  NativeTrainImage,
  NativeTrainSample,
} from '../../lib/binding/native.js';
import { readCheckpointConfig, readCheckpointFiles } from '../../lib/checkpoint/index.js';
import { shareOf } from '../../lib/training/order.js';
import { GOLDEN } from './golden.js';
import { readSafetensors } from './safetensors.js';

const DIRECTORY = join(GOLDEN, 'ckpt-300m');
const TILE = 56;

interface GoldenStep {
  readonly samples: readonly (readonly number[])[];
  readonly lr: number;
  readonly label_tokens: number;
  readonly loss: number;
  readonly grad_norm: number;
  readonly grad_l2?: Readonly<Record<string, number>>;
}

interface GoldenRun {
  readonly settings: { readonly weight_decay: number; readonly max_grad_norm: number };
  readonly samples: readonly {
    readonly input_ids: readonly number[];
    readonly labels: readonly number[];
    readonly tiles: readonly number[];
  }[];
  readonly steps: readonly GoldenStep[];
  readonly loss_after: number;
  readonly change_l2: Readonly<Record<string, number>>;
}

const PROJECTIONS = [
  ...['q_proj', 'k_proj', 'v_proj', 'o_proj'].map((name) => `self_attn.${name}`),
  ...['gate_proj', 'up_proj', 'down_proj'].map((name) => `mlp.${name}`),
];

async function samplesOf(run: GoldenRun): Promise<NativeTrainSample[]> {
  return Promise.all(
    run.samples.map(async ({ input_ids, labels, tiles }, index) => ({
      ids: Int32Array.from(input_ids),
      labels: Int32Array.from(labels),
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

async function createTrainer(
  run: GoldenRun,
  overrides: Partial<NativeTrainerRequest>,
  group: NativeProcessGroup | undefined,
): Promise<NativeTrainer> {
  const [files, config] = await Promise.all([
    readCheckpointFiles(DIRECTORY),
    readCheckpointConfig(DIRECTORY),
  ]);
  const layers = config.model.text.numHiddenLayers;
  const modules = Array.from({ length: layers }, (_, i) =>
    PROJECTIONS.map((name) => ({
      name: `language_model.model.layers.${i}.${name}`,
      rank: 16,
      scaling: 2,
    })),
  ).flat();
  const request: NativeTrainerRequest = {
    load: {
      config: config.model,
      preprocessing: config.preprocessing,
      files: files.dataFiles,
      weightMap: files.weightMap,
      device: 'cpu',
      dtype: 'fp32',
      imageCacheBytes: 0,
      prefixCacheBytes: 0,
    },
    modules,
    parts: [],
    usesDora: false,
    dropout: 0,
    adapterFile: join(GOLDEN, 'train-lora', 'adapter_init', 'adapter_model.safetensors'),
    seed: 1,
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    weightDecay: run.settings.weight_decay,
    decaysVectors: true,
    checkpointsActivations: false,
    lossChunkRows: 0,
    shardsWeights: false,
    featureCacheBytes: 0,
    ...overrides,
  };
  return loadAddon().createTrainer(request, () => {}, group).promise;
}

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
  const run = JSON.parse(readFileSync(join(GOLDEN, name, 'train.json'), 'utf8')) as GoldenRun;
  const samples = await samplesOf(run);
  const trainer = await createTrainer(run, overrides, group);
  try {
    for (const [index, step] of run.steps.entries()) {
      let loss = 0;
      const batches = options.joinsMicroBatches ? [step.samples.flat()] : step.samples;
      for (const [k, picked] of batches.entries()) {
        const batch = shareOf(picked, rank, size).map((i) => samples[i] as NativeTrainSample);
        const result = await trainer.accumulate({
          samples: batch,
          denominator: step.label_tokens,
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
    const last = await trainer.evaluate({ samples, denominator: labels, draw: 0, isLast: true })
      .promise;
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
