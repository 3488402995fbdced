/** How an answer is drawn, and where it ends: bounds and defaults. */
import { randomInt } from 'node:crypto';

import type { NativeSampling } from '../binding/native.js';
import { InvalidArgumentError } from '../errors.js';
import {
  abortSignal,
  callback,
  checkFields,
  field,
  fields,
  flag,
  list,
  name,
  type Shape,
  whole,
  word,
} from '../options/index.js';
import {
  biasesOf,
  biasProblems,
  logitBias,
  type LogitBias,
  type Vocabulary,
} from './logit-bias.js';
import type { TokenMaskFunction } from './token-masks.js';

/**
 * All optional. What is left out is as the checkpoint's generation_config.json says, else as stated here: the
 * reference's greedy answer.
 */
export interface GenerationOptions {
  /** @default 500, as FaceLLM's inference script */
  readonly maxNewTokens?: number | undefined;
  /**
   * Draws instead of taking the most probable token (false: never). @default true where one of the four options
   * below is given, else false
   */
  readonly doSample?: boolean | undefined;
  /** Flattens (above 1) or sharpens the probabilities that are drawn from. Above 0. @default 1 */
  readonly temperature?: number | undefined;
  /** Draws among the k most probable tokens; 0 switches it off. @default 50 when drawing */
  readonly topK?: number | undefined;
  /** Draws among the most probable tokens that make up this probability, (0, 1]. @default 1 */
  readonly topP?: number | undefined;
  /** Leaves out tokens below this share of the most probable one's probability, [0, 1]. @default 0 */
  readonly minP?: number | undefined;
  /** Above 1 discourages ids already seen in prompt and answer. @default 1 */
  readonly repetitionPenalty?: number | undefined;
  /**
   * Of the draws, a non-negative safe integer: the same seed draws the same again, and each row of a batch draws from
   * a stream of its own. The result names it. @default another one for every call
   */
  readonly seed?: number | undefined;
  /** Taken from an id's score for each time that the answer holds it, -2..2. @default 0 */
  readonly frequencyPenalty?: number | undefined;
  /** Taken once from the score of an id that the answer holds, -2..2. @default 0 */
  readonly presencePenalty?: number | undefined;
  /**
   * Added to the scores of up to 300 ids, -100..100 each; ids that the tokenizer does not know and those of control tokens
   * are refused. @default none
   */
  readonly logitBias?: LogitBias | undefined;
  /** The answer does not end by itself before so many tokens. At most `maxNewTokens`. @default 0 */
  readonly minTokens?: number | undefined;
  /** Tells so many of the most probable ids of each token's place, 0..20. @default 0 */
  readonly topLogProbs?: number | undefined;
  /**
   * Whose log-probabilities are told: the model's own, before penalties, bias, temperature, filters and mask
   * (`raw`); or those of the distribution that was drawn from, after all of them (`processed`). @default raw
   */
  readonly logProbs?: 'raw' | 'processed' | undefined;
  /**
   * So many answers to the one prompt, 1..64, which is computed once and whose memory they share. Answer i draws
   * from stream i of the seed. @default 1
   */
  readonly n?: number | undefined;
  /** Which ids each token may be: for output of a given form. @default any */
  readonly mask?: TokenMaskFunction | undefined;
  /** Texts that end the answer; they are not part of it. */
  readonly stop?: readonly string[] | undefined;
  /** Stops the work; the promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** How answers are drawn and how long they get: what request, generation_config.json and defaults come to. */
export interface Sampling {
  readonly doSample: boolean;
  readonly temperature: number;
  /** 0: all tokens. */
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly repetitionPenalty: number;
  readonly seed: number;
  readonly frequencyPenalty: number;
  readonly presencePenalty: number;
  /** By id. */
  readonly logitBias: Readonly<Record<number, number>>;
  readonly minTokens: number;
  readonly maxNewTokens: number;
}

export interface ResolvedGeneration {
  readonly maxNewTokens: number;
  readonly sampling: NativeSampling;
  readonly stop: readonly string[];
  /** Answers to each prompt. */
  readonly n: number;
  readonly mask: TokenMaskFunction | undefined;
  /** Prompt and answer together; undefined where the request or the file counts new tokens. */
  readonly maxLength: number | undefined;
}

/** What stands behind every default: generation_config.json's own values, already read. */
export type GenerationFallback = Pick<
  GenerationOptions,
  'doSample' | Drawing | 'repetitionPenalty' | 'maxNewTokens' | 'minTokens' | 'stop'
> & {
  readonly maxLength?: number | undefined;
};

/** transformers' default once sampling is on. */
const DEFAULT_TOP_K = 50;
const DEFAULT_MAX_NEW_TOKENS = 500;

const number = (expected: string, isMet: (value: number) => boolean) =>
  field<number>(expected, (value) => typeof value === 'number' && isMet(value));

const penalty = number('a number of -2..2', (n) => n >= -2 && n <= 2);

export const generationShape: Shape<GenerationOptions> = {
  maxNewTokens: whole(1).optional(),
  doSample: flag.optional(),
  temperature: number(
    'a number above 0 (for greedy leave it out, or doSample: false)',
    (n) => Number.isFinite(n) && n > 0,
  ).optional(),
  topK: whole(0).optional(),
  topP: number('a number in (0, 1]', (n) => n > 0 && n <= 1).optional(),
  minP: number('a number in [0, 1]', (n) => n >= 0 && n <= 1).optional(),
  repetitionPenalty: number('a number above 0', (n) => Number.isFinite(n) && n > 0).optional(),
  seed: whole(0).optional(),
  frequencyPenalty: penalty.optional(),
  presencePenalty: penalty.optional(),
  logitBias: logitBias.optional(),
  minTokens: whole(0).optional(),
  topLogProbs: whole(0, 20).optional(),
  logProbs: word('raw', 'processed').optional(),
  n: whole(1, 64).optional(),
  mask: callback<TokenMaskFunction>().optional(),
  stop: list(name('a text of at least one character'), 'a list of texts').optional(),
  signal: abortSignal.optional(),
};

const DRAWING = ['temperature', 'topK', 'topP', 'minP'] as const;
type Drawing = (typeof DRAWING)[number];

const drawingShape = fields<Pick<GenerationOptions, Drawing>>({
  temperature: generationShape.temperature,
  topK: generationShape.topK,
  topP: generationShape.topP,
  minP: generationShape.minP,
});

/**
 * Fills in what a request leaves open, as transformers' `generate` does: from the checkpoint's file, then from the
 * defaults.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT for drawing options beside `doSample: false`, biases of ids that
 *   may not have one, a least length above the greatest, all at once; or a value of the file that nothing can be
 *   drawn with
 */
export function resolveGeneration(
  options: GenerationOptions,
  file: GenerationFallback = {},
  vocabulary?: Vocabulary,
): ResolvedGeneration {
  const given = DRAWING.filter((name) => options[name] !== undefined);
  const isDrawing = options.doSample ?? (given.length > 0 || (file.doSample ?? false));
  const maxNewTokens = options.maxNewTokens ?? file.maxNewTokens ?? DEFAULT_MAX_NEW_TOKENS;
  const bias = biasesOf(options.logitBias);
  const details = [
    ...(isDrawing
      ? []
      : given.map((name) => `${name}: is of drawn answers, and doSample is false`)),
    ...(vocabulary === undefined ? [] : biasProblems(bias, vocabulary)),
    ...((options.minTokens ?? 0) <= maxNewTokens
      ? []
      : [`minTokens: ${options.minTokens} is more than maxNewTokens, ${maxNewTokens}`]),
  ];
  if (details.length > 0) {
    throw new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', 'the generation options are wrong', {
      details,
    });
  }
  const { temperature, topK, topP, minP } = isDrawing ? drawingValues(options, file) : {};
  const countsNewTokens = (options.maxNewTokens ?? file.maxNewTokens) !== undefined;
  return {
    maxNewTokens,
    maxLength: countsNewTokens ? undefined : file.maxLength,
    n: options.n ?? 1,
    mask: options.mask,
    sampling: {
      isGreedy: !isDrawing,
      temperature: temperature ?? 1,
      topK: topK ?? (isDrawing ? DEFAULT_TOP_K : 0),
      topP: topP ?? 1,
      minP: minP ?? 0,
      repetitionPenalty: options.repetitionPenalty ?? file.repetitionPenalty ?? 1,
      // Greedy answers draw nothing.
      seed: options.seed ?? (isDrawing ? randomInt(2 ** 48 - 1) : 0),
      frequencyPenalty: options.frequencyPenalty ?? 0,
      presencePenalty: options.presencePenalty ?? 0,
      biasIds: Int32Array.from(bias, ([id]) => id),
      biases: Float32Array.from(bias, ([, value]) => value),
      minTokens: options.minTokens ?? Math.min(file.minTokens ?? 0, maxNewTokens),
      topLogProbs: options.topLogProbs ?? 0,
      logProbs: options.logProbs ?? 'raw',
    },
    stop: options.stop ?? file.stop ?? [],
  };
}

function drawingValues(
  options: GenerationOptions,
  file: GenerationFallback,
): Pick<GenerationOptions, Drawing> {
  const values = DRAWING.map((name) => [name, options[name] ?? file[name]] as const);
  return checkFields(
    drawingShape,
    Object.fromEntries(values),
    'nothing can be drawn with what generation_config.json says; give these options',
  );
}

/** As users see it. */
export function samplingOf({ sampling, maxNewTokens }: ResolvedGeneration): Sampling {
  const { temperature, topK, topP, minP, repetitionPenalty, seed } = sampling;
  const { frequencyPenalty, presencePenalty, minTokens } = sampling;
  return {
    doSample: !sampling.isGreedy,
    ...{ temperature, topK, topP, minP, repetitionPenalty, seed },
    ...{ frequencyPenalty, presencePenalty, minTokens, maxNewTokens },
    logitBias: Object.fromEntries(
      Array.from(sampling.biasIds, (id, i) => [id, sampling.biases[i] ?? 0] as const),
    ),
  };
}

/**
 * @param promptTokens of the longest prompt of the batch
 * @throws InvalidArgumentError FACELLM_PROMPT_TOO_LONG where the file's max_length leaves no room
 */
export function withinLength(
  resolved: ResolvedGeneration,
  promptTokens: number,
): ResolvedGeneration {
  const { maxLength, maxNewTokens } = resolved;
  if (maxLength === undefined) return resolved;
  const room = maxLength - promptTokens;
  if (room >= 1) return { ...resolved, maxNewTokens: Math.min(maxNewTokens, room) };
  throw new InvalidArgumentError(
    'FACELLM_PROMPT_TOO_LONG',
    `the prompt has ${promptTokens} tokens, and generation_config.json sets max_length ${maxLength} for prompt and ` +
      'answer together; give maxNewTokens, which overrules it',
  );
}
