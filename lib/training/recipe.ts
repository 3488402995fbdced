/** What a run does, complete: every number that changes its result is a field here. */
import type { AskedFaces } from '../faces/index.js';
import type { WEIGHT_FORMS } from '../model/index.js';

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
  /**
   * Share of all updates in which a constant rate falls to 0 by a line: the last ones, or those after `patience` has run out,
   * where the run then ends. 0: it does not fall.
   */
  readonly cooldown: number;
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
   * questions), or a figure of `train({ validate })`. All but `loss` are better when higher. `last`: the last weights are
   * the result, and validation only tells; of a learning rate that falls to 0 they are the ones that have settled, and few
   * samples would choose among the others by chance.
   */
  readonly bestMetric: string;
  /** Validations without a better one after which the run ends, or its `cooldown` begins; 0: it goes on to its end. */
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
