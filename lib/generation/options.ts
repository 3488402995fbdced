/** How an answer is drawn, and where it ends: bounds and defaults. */
import type { NativeSampling } from '../binding/native.js';
import { abortSignal, field, list, name, type Shape, whole } from '../options/index.js';

/** All optional; the defaults give the reference's greedy answer. */
export interface GenerationOptions {
  /** @default 500, as FaceLLM's inference script */
  readonly maxNewTokens?: number | undefined;
  /** Draws instead of taking the most probable token. Absent: greedy. Above 0. */
  readonly temperature?: number | undefined;
  /** Draws among the k most probable tokens; 0 switches it off. @default 50 when drawing */
  readonly topK?: number | undefined;
  /** Draws among the most probable tokens that make up this probability, (0, 1]. @default 1 */
  readonly topP?: number | undefined;
  /** Leaves out tokens below this share of the most probable one's probability, [0, 1]. @default 0 */
  readonly minP?: number | undefined;
  /** Above 1 discourages ids already seen in prompt and answer. @default 1 */
  readonly repetitionPenalty?: number | undefined;
  /** Of the draws; a non-negative safe integer. @default 0 */
  readonly seed?: number | undefined;
  /** Texts that end the answer; they are not part of it. */
  readonly stop?: readonly string[] | undefined;
  /** Stops the work; the promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

export interface ResolvedGeneration {
  readonly maxNewTokens: number;
  readonly sampling: NativeSampling;
  readonly stop: readonly string[];
}

/** transformers' default once sampling is on. */
const DEFAULT_TOP_K = 50;

const number = (expected: string, isMet: (value: number) => boolean) =>
  field<number>(expected, (value) => typeof value === 'number' && isMet(value));

export const generationShape: Shape<GenerationOptions> = {
  maxNewTokens: whole(1).optional(),
  temperature: number(
    'a number above 0 (leave it out for greedy)',
    (n) => Number.isFinite(n) && n > 0,
  ).optional(),
  topK: whole(0).optional(),
  topP: number('a number in (0, 1]', (n) => n > 0 && n <= 1).optional(),
  minP: number('a number in [0, 1]', (n) => n >= 0 && n <= 1).optional(),
  repetitionPenalty: number('a number above 0', (n) => Number.isFinite(n) && n > 0).optional(),
  seed: whole(0).optional(),
  stop: list(name('a text of at least one character'), 'a list of texts').optional(),
  signal: abortSignal.optional(),
};

/** Fills in the defaults. */
export function resolveGeneration(options: GenerationOptions): ResolvedGeneration {
  const { temperature, topK, topP, minP, stop = [] } = options;
  const isDrawing = [temperature, topK, topP, minP].some((value) => value !== undefined);
  return {
    maxNewTokens: options.maxNewTokens ?? 500,
    sampling: {
      isGreedy: !isDrawing,
      temperature: temperature ?? 1,
      topK: topK ?? (isDrawing ? DEFAULT_TOP_K : 0),
      topP: topP ?? 1,
      minP: minP ?? 0,
      repetitionPenalty: options.repetitionPenalty ?? 1,
      seed: options.seed ?? 0,
    },
    stop,
  };
}
