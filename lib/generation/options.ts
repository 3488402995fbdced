/** How an answer is drawn, and where it ends: defaults and checks, done once, here. */
import type { NativeSampling } from '../binding/native.js';
import { InvalidArgumentError } from '../errors.js';

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

/** @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT listing every wrong option */
export function resolveGeneration(options: GenerationOptions): ResolvedGeneration {
  const { temperature, stop = [] } = options;
  const isDrawing =
    temperature !== undefined ||
    [options.topK, options.topP, options.minP].some((v) => v !== undefined);
  const resolved = {
    maxNewTokens: options.maxNewTokens ?? 500,
    temperature: temperature ?? 1,
    topK: options.topK ?? (isDrawing ? DEFAULT_TOP_K : 0),
    topP: options.topP ?? 1,
    minP: options.minP ?? 0,
    repetitionPenalty: options.repetitionPenalty ?? 1,
    seed: options.seed ?? 0,
  };
  const problems: string[] = [];
  const require = (
    name: keyof typeof resolved,
    isMet: (value: number) => boolean,
    expected: string,
  ): void => {
    const value: unknown = resolved[name];
    if (typeof value === 'number' && isMet(value)) return;
    problems.push(`${name}: expected ${expected}, got ${String(value)}`);
  };
  const isNatural = (n: number): boolean => Number.isSafeInteger(n) && n >= 0;
  require('maxNewTokens', (n) => isNatural(n) && n > 0, 'a whole number of at least 1');
  require('temperature', (n) =>
    Number.isFinite(n) && n > 0, 'a number above 0 (leave it out for greedy)');
  require('topK', isNatural, 'a whole number of at least 0');
  require('topP', (n) => n > 0 && n <= 1, 'a number in (0, 1]');
  require('minP', (n) => n >= 0 && n <= 1, 'a number in [0, 1]');
  require('repetitionPenalty', (n) => Number.isFinite(n) && n > 0, 'a number above 0');
  require('seed', isNatural, 'a whole number of at least 0');
  if (!Array.isArray(stop) || stop.some((s) => typeof s !== 'string' || s === '')) {
    problems.push('stop: expected texts of at least one character');
  }
  if (problems.length > 0) {
    throw new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', 'the generation options are wrong', {
      details: problems,
    });
  }
  const { maxNewTokens, ...sampling } = resolved;
  return { maxNewTokens, sampling: { isGreedy: !isDrawing, ...sampling }, stop };
}
