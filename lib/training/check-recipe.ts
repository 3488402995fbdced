/** Which recipes can be trained by: each field by itself, and what must hold between them. */
import { z } from 'zod';

import { InvalidArgumentError } from '../errors.js';
import { askedFaces } from '../faces/index.js';
import { WEIGHT_FORMS } from '../model/index.js';
import { problemsOf, unknownFields } from '../options/index.js';
import type { TrainedPart, TrainingRecipe } from './recipe.js';
import { METRICS } from './validation/figures.js';

const count = z.number().int().min(0);
const atLeastOne = z.number().int().min(1);
const share = z.number().min(0).max(1);
const positive = z.number().positive();

const loraPart = z.strictObject({ rank: atLeastOne, alpha: positive }).nullable();
const loraFields = {
  rank: atLeastOne,
  alpha: positive,
  dropout: z.number().min(0).lt(1),
  targets: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]),
  rankPattern: z.record(z.string(), atLeastOne),
  alphaPattern: z.record(z.string(), positive),
  usesRsLora: z.boolean(),
  usesDora: z.boolean(),
  vision: loraPart,
  projector: loraPart,
};
const loraSchema = z.strictObject(loraFields, { error: unknownFields(loraFields) });

const augmentationFields = {
  flip: share,
  zoom: share.lt(1),
  shift: share.lt(1),
  brightness: share,
  contrast: share,
  saturation: share,
  grey: share,
};
const augmentationSchema = z.strictObject(augmentationFields, {
  error: unknownFields(augmentationFields),
});

const rewardFields = {
  kl: z.number().min(0),
  supervised: z.number().min(0),
  ordered: z.array(
    z
      .array(z.string().min(1))
      .min(2)
      .refine((answers) => new Set(answers).size === answers.length, {
        error: 'expected answers that are all different',
      }),
  ),
};
const preferenceFields = { beta: positive, supervised: z.number().min(0) };
const rates = { vision: positive, projector: positive, text: positive, head: positive };

const recipeFaces = askedFaces.refine(
  ({ which = 'main', detector }) =>
    (which === 'main' || which === 'largest') && detector === undefined,
  { error: 'expected main or largest, with the built-in detector' },
);

const validationSchema = z.union(
  [
    z.strictObject({ share: positive.lt(1), by: z.enum(['picture', 'person', 'sample']) }),
    z.strictObject({
      data: z.string().min(1),
      dataset: z.string().min(1).optional(),
      imageRoot: z.string().min(1).optional(),
    }),
  ],
  {
    error: "expected null, { share: 0.1, by: 'picture' | 'person' | 'sample' } or { data: 'FILE' }",
  },
);

const recipeFields = {
  name: z.string().min(1),
  lora: loraSchema.nullable(),
  base: z.enum(WEIGHT_FORMS),
  parts: z.array(z.enum(['vision', 'projector', 'text', 'head'])),
  learningRate: z.number().min(0),
  learningRates: z.strictObject(rates, { error: unknownFields(rates) }).partial(),
  layerDecay: positive.max(1),
  schedule: z.enum(['cosine', 'linear', 'constant']),
  warmupSteps: count,
  warmupRatio: share,
  cooldown: share,
  weightDecay: z.number().min(0),
  decaysVectors: z.boolean(),
  beta1: z.number().min(0).lt(1),
  beta2: z.number().min(0).lt(1),
  epsilon: positive,
  maxGradNorm: z.number().min(0),
  batchSize: atLeastOne,
  accumulation: atLeastOne,
  epochs: positive,
  maxSteps: count,
  lossNormalisation: z.enum(['window', 'micro-batch']),
  dtype: z.enum(['bf16', 'fp32']),
  cutoffLength: z.number().int().min(8),
  onTooLong: z.enum(['error', 'drop']),
  maxTiles: z.number().int().min(0).max(4096),
  limitsImageArea: z.boolean(),
  faces: z.union([z.literal('off'), recipeFaces], {
    error: "expected off, or {which: 'main' | 'largest', margin, size, ...} of faces",
  }),
  augmentation: augmentationSchema.nullable(),
  system: z.string(),
  packing: z.boolean(),
  groupsByLength: z.boolean(),
  groupsByPicture: z.boolean(),
  sharesPrefix: z.boolean(),
  balancesAnswers: z.boolean(),
  balancesGroups: z.array(z.enum(['gender', 'age', 'race'])),
  expectedReward: z.strictObject(rewardFields, { error: unknownFields(rewardFields) }).nullable(),
  preference: z
    .strictObject(preferenceFields, { error: unknownFields(preferenceFields) })
    .nullable(),
  validation: validationSchema.nullable(),
  evaluateEvery: count,
  bestMetric: z.string().min(1),
  patience: count,
  checkpointsActivations: z.boolean(),
  shardsWeights: z.boolean(),
  lossChunkRows: count,
  featureCacheMegabytes: count,
  seed: count,
  maxSamples: count,
  logEvery: atLeastOne,
  saveEvery: count,
  keepCheckpoints: count,
};
const schema = z.strictObject(recipeFields, { error: unknownFields(recipeFields) });

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const child of Object.values(value)) deepFreeze(child);
    Object.freeze(value);
  }
  return value;
}

/**
 * A checked, frozen copy.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT listing every wrong field
 */
export function checkRecipe(recipe: TrainingRecipe): TrainingRecipe {
  const parsed = schema.safeParse(recipe);
  const details = parsed.success ? [] : problemsOf(parsed.error, 'recipe');
  if (parsed.success && (recipe.lora === null) === (recipe.parts.length === 0)) {
    details.push('recipe: expected either lora or parts');
  }
  if (parsed.success && recipe.groupsByLength && recipe.groupsByPicture) {
    details.push('recipe: expected groupsByLength or groupsByPicture, not both');
  }
  if (parsed.success && recipe.cooldown > 0 && recipe.schedule !== 'constant') {
    details.push(
      `recipe.cooldown: expected schedule constant; ${recipe.schedule} falls to 0 by itself`,
    );
  }
  if (parsed.success && recipe.sharesPrefix && !recipe.groupsByPicture) {
    details.push(
      'recipe.sharesPrefix: expected groupsByPicture, without which samples of a picture rarely meet',
    );
  }
  if (parsed.success) details.push(...rateProblems(recipe));
  if (parsed.success && recipe.expectedReward !== null && recipe.preference !== null) {
    details.push('recipe: expected expectedReward or preference, not both');
  }
  if (parsed.success && recipe.faces !== 'off') {
    if (recipe.faces.onNoFace === 'whole' && recipe.maxTiles > 0) {
      details.push('recipe.faces.onNoFace: whole pictures beside chips need maxTiles 0');
    }
  }
  if (parsed.success && recipe.validation === null) {
    const needs = [
      ['evaluateEvery', recipe.evaluateEvery > 0],
      ['patience', recipe.patience > 0],
      ['bestMetric', recipe.bestMetric !== METRICS[0]],
    ] as const;
    for (const [key, isSet] of needs) {
      if (isSet)
        details.push(`recipe.${key}: expected validation, without which nothing is evaluated`);
    }
  }
  const { validation, patience, evaluateEvery } = recipe;
  if (parsed.success && validation !== null && patience > 0 && evaluateEvery === 0) {
    details.push(
      'recipe.patience: expected evaluateEvery above 0; with one validation, after the last update, there is nothing to wait for',
    );
  }
  if (parsed.success && recipe.base !== 'stored') {
    if (recipe.lora === null)
      details.push('recipe.base: expected lora, weights of 8 or 4 bits take no gradient');
    if (recipe.shardsWeights)
      details.push(
        'recipe.base: expected stored with shardsWeights, or every process with all of them',
      );
  }
  if (parsed.success && recipe.shardsWeights) {
    if (recipe.lora === null)
      details.push('recipe.shardsWeights: expected lora, whose base takes no gradient');
    if (recipe.lora?.usesDora)
      details.push('recipe.shardsWeights: DoRA needs the norms of whole weights');
    if (!recipe.checkpointsActivations) {
      details.push(
        'recipe.shardsWeights: expected checkpointsActivations, which the gathering relies on',
      );
    }
  }
  if (details.length === 0) return deepFreeze(structuredClone(recipe));
  throw new InvalidArgumentError(
    'FACELLM_INVALID_ARGUMENT',
    `the recipe has ${details.length} wrong field(s)`,
    { details },
  );
}

/** What full fine-tuning trains is known here, what LoRA's targets reach only with the model (modules.ts). */
function rateProblems({ learningRate, learningRates, parts, lora }: TrainingRecipe): string[] {
  const named = Object.keys(learningRates) as TrainedPart[];
  if (named.length > 0 && learningRate === 0) {
    return ['recipe.learningRate: expected a number above 0 beside learningRates'];
  }
  return named
    .filter((part) => (lora === null ? !parts.includes(part) : part === 'head'))
    .map((part) => `recipe.learningRates.${part}: the recipe does not train this part`);
}
