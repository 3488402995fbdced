/** What a run does, complete: every number that changes its result is a field here. */
import { z } from 'zod';

import { InvalidArgumentError } from '../errors.js';
import { type AskedFaces, askedFaces } from '../faces/index.js';
import { WEIGHT_FORMS } from '../model/index.js';
import { problemsOf, unknownFields } from '../options/index.js';
import { METRICS } from './validation/figures.js';

export type TrainedPart = 'vision' | 'projector' | 'text' | 'head';

/** Low-rank adaptation, in PEFT's terms. */
export interface RecipeLora {
  readonly rank: number;
  readonly alpha: number;
  readonly dropout: number;
  /** `all`: the seven projections of every text layer; else names, suffixes, or one pattern. */
  readonly targets: string | readonly string[];
  readonly rankPattern: Readonly<Record<string, number>>;
  readonly alphaPattern: Readonly<Record<string, number>>;
  /** Scale by alpha / sqrt(rank) instead of alpha / rank. */
  readonly usesRsLora: boolean;
  readonly usesDora: boolean;
  /** All layers of the vision tower, with a rank and alpha of their own; null: as `targets` says. */
  readonly vision: RecipeLoraPart | null;
  /** Both layers of the projector, likewise. */
  readonly projector: RecipeLoraPart | null;
}

/**
 * In which form the frozen weights of the text layers are kept while an adapter is trained upon them (QLoRA): `stored`, in the
 * recipe's dtype; else as `load({ weights })` has it. Numbers are those of training upon the dequantised weights.
 */
export type RecipeBase = (typeof WEIGHT_FORMS)[number];

export interface RecipeLoraPart {
  readonly rank: number;
  readonly alpha: number;
}

/**
 * Closed questions by the expected reward under the model's exact probabilities of all their answers in the data: the
 * loss of a question is minus that, plus `kl` times KL(model || start model) over the answers, in nats.
 */
export interface RecipeReward {
  readonly kl: number;
  /** What the supervised loss of the same samples, and of open questions, counts beside it; 0: not at all. */
  readonly supervised: number;
  /**
   * Answers that have an order, from one end to the other: a wrong one earns 1 - distance / (n - 1). Of questions whose
   * answers stand in none of these lists the true one earns 1, every other 0.
   */
  readonly ordered: readonly (readonly string[])[];
}

/** Records with an answer `rejected`, by direct preference optimisation (arXiv 2305.18290). */
export interface RecipePreference {
  readonly beta: number;
  /** What the supervised loss of the preferred answers, and of other records, counts beside it; 0: not at all. */
  readonly supervised: number;
}

/**
 * Random changes of pictures, drawn anew for every picture and pass over the data; a run's numbers follow from its
 * seed. 0 everywhere: pictures as they are.
 */
export interface RecipeAugmentation {
  /** Probability of a mirror image. Not for questions about left and right. */
  readonly flip: number;
  /** The side of the window that is seen: between 1 - zoom and 1 + zoom of the picture's, at random. */
  readonly zoom: number;
  /** How far the window's centre moves at most, as a share of the picture's sides. */
  readonly shift: number;
  /** Factors between 1 - x and 1 + x, as torchvision's ColorJitter draws and applies them. */
  readonly brightness: number;
  readonly contrast: number;
  readonly saturation: number;
  /** Probability of a picture without colour. */
  readonly grey: number;
}

/** As requests name them; what needs another picture or a program is left out. */
export type RecipeFaces = Omit<AskedFaces, 'detector'>;

/** A share of the data that is never learnt from. */
export interface ValidationShare {
  /** Of the pictures, people or samples, above 0 and below 1. */
  readonly share: number;
  /**
   * What `share` counts. A picture's questions always stay together, and with `person` all of a person's (the key
   * `person` of each record).
   */
  readonly by: 'picture' | 'person' | 'sample';
}

/** Data that are never learnt from, in a file of their own. */
export interface ValidationData {
  /** As `train({ data })`. */
  readonly data: string;
  readonly dataset?: string | undefined;
  readonly imageRoot?: string | undefined;
}

export interface TrainingRecipe {
  readonly name: string;
  /** Null: full fine-tuning of `parts`. */
  readonly lora: RecipeLora | null;
  /** Other than `stored`: with LoRA alone. Vision tower, projector, embeddings and head stay as they are stored. */
  readonly base: RecipeBase;
  /** Of full fine-tuning; empty with LoRA. */
  readonly parts: readonly TrainedPart[];

  readonly learningRate: number;
  /** Of single parts, in the place of `learningRate`; the schedule is the same. */
  readonly learningRates: Readonly<Partial<Record<TrainedPart, number>>>;
  /**
   * In the vision tower and the text: each layer has this times the rate of the layer above it, the embeddings that of
   * the first layer. 1: all alike.
   */
  readonly layerDecay: number;
  readonly schedule: 'cosine' | 'linear' | 'constant';
  /** Updates of linear rise; `warmupRatio` of all updates where this is 0. */
  readonly warmupSteps: number;
  readonly warmupRatio: number;
  readonly weightDecay: number;
  /** Whether biases, norms and other vectors decay, too. */
  readonly decaysVectors: boolean;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** 0: no clipping. */
  readonly maxGradNorm: number;

  /** Samples of one micro-batch on one device. */
  readonly batchSize: number;
  /** Micro-batches of one update. */
  readonly accumulation: number;
  readonly epochs: number;
  /** Ends earlier; 0: by `epochs`. */
  readonly maxSteps: number;
  /**
   * `window`: mean over all learnt tokens of an update (transformers since 4.46). `micro-batch`: mean over each
   * micro-batch's own, then over micro-batches (LLaMA-Factory v0.9.3 for models with a processor).
   */
  readonly lossNormalisation: 'window' | 'micro-batch';
  readonly dtype: 'bf16' | 'fp32';

  /** Longest sample in tokens. Text is cut as LLaMA-Factory cuts it, image tokens never are. */
  readonly cutoffLength: number;
  /** What becomes of a sample whose image tokens would be cut. */
  readonly onTooLong: 'error' | 'drop';
  /** Largest number of tiles of a picture; 0: one tile whatever its shape, as FaceLLM was trained. */
  readonly maxTiles: number;
  /** LLaMA-Factory's bound of 768 x 768 pixels on a picture before it is cut. */
  readonly limitsImageArea: boolean;
  /**
   * Chips of faces in place of the pictures, cut as `detectFaces` cuts them: `main` or `largest`, with the built-in detector. What is
   * left open has its default; the weights' record says all of it, and requests are cut alike. A picture without a face is one
   * that cannot be used, or, with `onNoFace: 'whole'`, is learnt from as it is. `off`: pictures as they are.
   */
  readonly faces: RecipeFaces | 'off';
  /** Null: pictures as they are. */
  readonly augmentation: RecipeAugmentation | null;
  /** Text of the system turn where a record has none; '': no such turn. */
  readonly system: string;
  /** Fills micro-batches up to `batchSize * cutoffLength` tokens instead of counting samples. */
  readonly packing: boolean;
  /** Puts samples of like length together. */
  readonly groupsByLength: boolean;
  /** Puts the samples of a picture into one micro-batch, where it is encoded once for all of them. */
  readonly groupsByPicture: boolean;
  /**
   * What samples of a micro-batch begin with alike (system turn, pictures, questions) is computed once, what follows as
   * its branches. Changes no number beyond rounding, but for dropout's draws. Needs `groupsByPicture`, and keeps the
   * samples of a picture in one micro-batch where they fit.
   */
  readonly sharesPrefix: boolean;
  /**
   * Every answer to a question counts the same in sum, however rare: a sample weighs N / (K n), for N samples with
   * its question, K different answers to it, and n samples with its own. Answers that are all different weigh 1.
   */
  readonly balancesAnswers: boolean;
  /**
   * Every group of people counts the same in sum, among the samples with one question: groups by these keys of the
   * records (`gender`, `age`, `race`), all of them together. Empty: each sample counts as it is.
   */
  readonly balancesGroups: readonly ('gender' | 'age' | 'race')[];
  /** Null: closed questions are learnt as all others. */
  readonly expectedReward: RecipeReward | null;
  /** Null: `rejected` answers are not looked at. */
  readonly preference: RecipePreference | null;

  /** What the run is examined on and never learns from: a share of the data, or data of their own. Null: nothing. */
  readonly validation: ValidationShare | ValidationData | null;
  /** Updates between validations; 0: only after the last one. */
  readonly evaluateEvery: number;
  /**
   * Decides which checkpoint is the result: `loss`, `accuracy`, `balancedAccuracy`, `worstGroupAccuracy` (closed
   * questions), or a figure of `train({ validate })`. All but `loss` are better when higher.
   */
  readonly bestMetric: string;
  /** Validations without a better one after which the run ends; 0: it goes on to its end. */
  readonly patience: number;

  readonly checkpointsActivations: boolean;
  /**
   * In a job of several processes: the frozen weights of the text layers are shared out over them, for models that
   * do not fit one device. Needs LoRA without DoRA, and recomputed activations. Changes no number.
   */
  readonly shardsWeights: boolean;
  /** Rows of logits held at once; 0: all supervised rows of a micro-batch. */
  readonly lossChunkRows: number;
  /** Memory for projected vectors of pictures while the image side is frozen, in MB; 0: none. */
  readonly featureCacheMegabytes: number;

  readonly seed: number;
  /** First records only; 0: all. */
  readonly maxSamples: number;
  readonly logEvery: number;
  /** Updates between checkpoints; 0: only at the end. */
  readonly saveEvery: number;
  /** Older checkpoints are removed; 0: all are kept. */
  readonly keepCheckpoints: number;
}

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
