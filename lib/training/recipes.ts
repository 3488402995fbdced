/**
 * Recipes: functions that return a complete, frozen object. FaceLLM's numbers are those of the authors'
 * train.sh (github idiap/facellm, commit 17006ef: SFT, LoRA rank 16, alpha 32, dropout 0, target all,
 * learning rate 1e-5, cosine, no warm-up, clip 1.0, bf16, adamw_torch, cut-off 2048, packing off, max_samples 100000, log
 * every 5, save every 100) and LLaMA-Factory v0.9.3's defaults for what it leaves open.
 */
import { DEFAULT_SYSTEM } from '../chat/index.js';
import { InvalidArgumentError } from '../errors.js';
import { checkRecipe } from './check-recipe.js';
import type { TrainingRecipe } from './recipe.js';

const FACELLM: TrainingRecipe = {
  name: 'facellm1b',
  lora: {
    rank: 16,
    alpha: 32,
    dropout: 0,
    targets: 'all',
    rankPattern: {},
    alphaPattern: {},
    usesRsLora: false,
    usesDora: false,
    vision: null,
    projector: null,
  },
  base: 'stored',
  parts: [],
  learningRate: 1e-5,
  learningRates: {},
  layerDecay: 1,
  schedule: 'cosine',
  warmupSteps: 0,
  warmupRatio: 0,
  cooldown: 0,
  weightDecay: 0,
  decaysVectors: false, // transformers' Trainer; without effect at weight decay 0
  beta1: 0.9, // adamw_torch
  beta2: 0.999,
  epsilon: 1e-8,
  maxGradNorm: 1,
  batchSize: 10, // train.sh for 1B and 8B: 10 x 8
  accumulation: 8,
  epochs: 1,
  maxSteps: 0,
  lossNormalisation: 'micro-batch', // LLaMA-Factory v0.9.3 for models with a processor
  dtype: 'bf16',
  cutoffLength: 2048,
  onTooLong: 'error',
  maxTiles: 0, // LLaMA-Factory calls the processor with crop_to_patches off
  limitsImageArea: true, // image_max_pixels 768 * 768
  faces: 'off', // FairFace's pictures are chips already
  augmentation: null,
  system: DEFAULT_SYSTEM, // template intern_vl
  packing: false,
  groupsByLength: false,
  groupsByPicture: false,
  sharesPrefix: false,
  balancesAnswers: false,
  balancesGroups: [],
  expectedReward: null,
  preference: null,
  validation: null,
  evaluateEvery: 0,
  bestMetric: 'loss',
  patience: 0,
  checkpointsActivations: true, // LLaMA-Factory's default
  shardsWeights: false,
  lossChunkRows: 512,
  featureCacheMegabytes: 6000, // 10,954 pictures x 256 vectors x 896 x 2 bytes: 5.0 GB
  seed: 42, // transformers' default
  maxSamples: 100_000,
  logEvery: 5,
  saveEvery: 100,
  keepCheckpoints: 0,
};

/** FaceLLM-1B: 10 x 8 samples an update, 1096 updates over FairFaceGPT's 87,632 pairs on one device. */
export function facellm1b(): TrainingRecipe {
  return checkRecipe(FACELLM);
}

/** FaceLLM-8B: the same numbers over the larger base. */
export function facellm8b(): TrainingRecipe {
  return checkRecipe({ ...FACELLM, name: 'facellm8b', featureCacheMegabytes: 21_000 });
}

/** FaceLLM-38B: 2 x 6 samples an update, 7303 updates (the authors' checkpoint-7303). */
export function facellm38b(): TrainingRecipe {
  return checkRecipe({
    ...FACELLM,
    name: 'facellm38b',
    batchSize: 2,
    accumulation: 6,
    shardsWeights: true, // 76.8 GB of bf16 weights; docs/distributed.md
    featureCacheMegabytes: 0,
  });
}

/**
 * A model of a million parameters from scratch on a laptop: all parts trained in fp32 on some hundred labelled faces.
 * How these numbers were found: docs/decisions/2026-11-25-small-models.md.
 */
export function nano(): TrainingRecipe {
  return checkRecipe({
    ...FACELLM,
    name: 'nano',
    lora: null,
    parts: ['vision', 'projector', 'text', 'head'],
    learningRate: 3e-4,
    warmupRatio: 0.05,
    weightDecay: 1,
    batchSize: 32,
    accumulation: 1,
    epochs: 60,
    lossNormalisation: 'window',
    dtype: 'fp32',
    cutoffLength: 256,
    augmentation: {
      ...{ flip: 0.5, zoom: 0.05, shift: 0.04 },
      ...{ brightness: 0.3, contrast: 0.3, saturation: 0.3, grey: 0.2 },
    },
    system: '',
    groupsByPicture: true,
    balancesAnswers: true,
    checkpointsActivations: false,
    lossChunkRows: 0,
    featureCacheMegabytes: 0,
    maxSamples: 0,
    saveEvery: 200,
    keepCheckpoints: 2,
  });
}

export const RECIPES: Readonly<Record<string, () => TrainingRecipe>> = {
  facellm1b,
  facellm8b,
  facellm38b,
  nano,
};

/** @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT for an unknown name */
export function recipeNamed(name: string): TrainingRecipe {
  const make = Object.hasOwn(RECIPES, name) ? RECIPES[name] : undefined;
  if (make !== undefined) return make();
  throw new InvalidArgumentError(
    'FACELLM_INVALID_ARGUMENT',
    `there is no recipe ${name}; expected one of ${Object.keys(RECIPES).join(', ')}`,
  );
}
