/** Exact probabilities of given answers. */
import type { NativeModel, NativePrompt } from '../binding/native.js';
import { settle } from '../binding/settle.js';
import { InvalidArgumentError } from '../errors.js';
import type { TextCoder } from '../tokenizer/index.js';
import type { AnswerTimings } from './answer.js';
import { promptHash } from './prompt-hash.js';

export interface Choice {
  readonly text: string;
  /** Natural log of the probability that the model answers exactly this, all tokens together. */
  readonly logProb: number;
  /** Share among the given choices; they add up to 1. */
  readonly probability: number;
  readonly tokenIds: readonly number[];
  readonly tokenLogProbs: readonly number[];
}

export interface ChoiceResult {
  /** In the order given. */
  readonly choices: readonly Choice[];
  /** The most probable one; the first among equals. */
  readonly best: Choice;
  /** sha256 of the prompt's token ids, each as a 32-bit little-endian number. */
  readonly promptHash: string;
  readonly promptTokens: number;
  readonly imageTokens: number;
  readonly cachedTokens: number;
  readonly timings: Omit<AnswerTimings, 'firstToken'>;
  readonly peakBytes: number;
}

/** @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT listing every wrong choice */
export function checkChoices(choices: readonly string[]): void {
  const problems: string[] = [];
  if (!Array.isArray(choices) || choices.length < 2)
    problems.push('choices: expected at least two');
  const seen = new Set<string>();
  (Array.isArray(choices) ? choices : []).forEach((choice: unknown, i) => {
    if (typeof choice !== 'string' || choice === '') {
      problems.push(`choices[${i}]: expected a text of at least one character`);
    } else if (seen.has(choice)) {
      problems.push(`choices[${i}]: "${choice}" is given twice`);
    } else {
      seen.add(choice);
    }
  });
  if (problems.length === 0) return;
  throw new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', 'the choices are wrong', {
    details: problems,
  });
}

/** Normalises log-probabilities to shares of 1 without overflow. */
export function softmax(logProbs: readonly number[]): number[] {
  const top = Math.max(...logProbs);
  const weights = logProbs.map((logProb) => Math.exp(logProb - top));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

export interface ChooseContext {
  readonly native: NativeModel;
  /** Ids of the adapters that work. */
  readonly adapters: readonly number[];
  readonly tokenizer: TextCoder;
  /** Closes each answer, so that one that begins another is not counted twice; absent: leaves it open. */
  readonly endId: number | undefined;
  readonly usesPrefixCache: boolean;
  readonly signal: AbortSignal | undefined;
  readonly startedAt: number;
  readonly preparedMs: number;
}

export async function choose(
  context: ChooseContext,
  prompt: NativePrompt,
  texts: readonly string[],
): Promise<ChoiceResult> {
  const { native, tokenizer, endId, signal } = context;
  signal?.throwIfAborted();
  const end = endId === undefined ? [] : [endId];
  const ids = await Promise.all(
    texts.map(async (text) =>
      Int32Array.from([...(await tokenizer.encodeSegments([{ text, trusted: false }])), ...end]),
    ),
  );
  signal?.throwIfAborted();
  const job = native.choose({
    prompt,
    adapters: context.adapters,
    choices: ids,
    usesPrefixCache: context.usesPrefixCache,
  });
  const result = await settle(job, signal);
  const probabilities = softmax([...result.logProbs]);
  const choices = texts.map((text, i) => ({
    text,
    logProb: result.logProbs[i] ?? -Infinity,
    probability: probabilities[i] ?? 0,
    tokenIds: [...(ids[i] ?? [])],
    tokenLogProbs: [...(result.tokenLogProbs[i] ?? [])],
  }));
  const best = choices.reduce((a, b) => (b.logProb > a.logProb ? b : a));
  return {
    choices,
    best,
    promptHash: promptHash(prompt.ids),
    promptTokens: result.promptTokens,
    imageTokens: result.imageTokens,
    cachedTokens: result.cachedTokens,
    timings: {
      ...result.timings,
      preprocess: context.preparedMs + result.timings.preprocess,
      total: performance.now() - context.startedAt,
    },
    peakBytes: result.peakBytes,
  };
}
