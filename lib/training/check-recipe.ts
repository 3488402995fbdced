/** Which recipes can be trained by: each field by itself, and what must hold between them (recipe-rules.ts). */
import { z } from 'zod';

import { InvalidArgumentError } from '../errors.js';
import { askedFaces } from '../faces/index.js';
import { WEIGHT_FORMS } from '../model/index.js';
import { problemsOf, unknownFields } from '../options/index.js';
import type { TrainingRecipe } from './recipe.js';
import { contradictionsOf } from './recipe-rules.js';

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
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT listing every wrong field, and what contradicts itself among the others
 */
export function checkRecipe(recipe: TrainingRecipe): TrainingRecipe {
  const { error } = schema.safeParse(recipe);
  const details = error === undefined ? [] : problemsOf(error, 'recipe');
  const wrong = new Set(error?.issues.map(({ path: [field] }) => field));
  // What is no recipe at all contradicts nothing.
  if (typeof recipe === 'object' && recipe !== null && !Array.isArray(recipe))
    details.push(...contradictionsOf(recipe, wrong));
  if (details.length === 0) return deepFreeze(structuredClone(recipe));
  throw new InvalidArgumentError(
    'FACELLM_INVALID_ARGUMENT',
    `the recipe has ${details.length} wrong field(s)`,
    { details },
  );
}
