/** Exact probabilities of given answers. */
import type { NativeModel } from '../binding/native.js';
import { settle } from '../binding/settle.js';
import { InvalidArgumentError } from '../errors.js';
import type { TextCoder } from '../tokenizer/index.js';
import type { AnswerTimings } from './answer.js';
import { type FacesSeen, facesOf, type PicturedPrompt, type PixelDesk } from './pixel-desk.js';
import { promptHash } from './prompt-hash.js';

export interface Choice {
  readonly text: string;
  /** The caller's own, else the text. */
  readonly label: string;
  /** Natural log of the probability that the model answers exactly this, all tokens together. */
  readonly logProb: number;
  /** Share among the given choices; they add up to 1. */
  readonly probability: number;
  readonly tokenIds: readonly number[];
  readonly tokenLogProbs: readonly number[];
}

/** Shares at a temperature that was fitted on labels: lib/calibration. */
export interface Calibrated {
  /** In the order of the answers; they add up to 1. */
  readonly probabilities: readonly number[];
  readonly temperature: number;
}

export interface ChoiceResult extends FacesSeen {
  /** In the order given. */
  readonly choices: readonly Choice[];
  /** The most probable one; the first among equals. */
  readonly best: Choice;
  /**
   * The probability that the model answers with one of them at all: how much of its belief the list covers. A share of
   * 0.99 of a small mass says little.
   */
  readonly mass: number;
  /** Of the shares, in nats: 0 where one has all, ln(number of choices) where all are equal. */
  readonly entropy: number;
  /** Only where the call was given a calibration. */
  readonly calibrated?: Calibrated;
  /** sha256 of the prompt's token ids, each as a 32-bit little-endian number. */
  readonly promptHash: string;
  readonly promptTokens: number;
  readonly imageTokens: number;
  readonly cachedTokens: number;
  readonly timings: Omit<AnswerTimings, 'firstToken'>;
  readonly peakBytes: number;
}

/** Of one of several questions about the same pictures. */
export interface ItemResult extends ChoiceResult {
  readonly id: string;
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
  readonly pixels: PixelDesk;
  /** Ids of the adapters that work. */
  readonly adapters: readonly number[];
  readonly tokenizer: TextCoder;
  /** Closes each answer, so that one that begins another is not counted twice; absent: leaves it open. */
  readonly endId: number | undefined;
  readonly usesPrefixCache: boolean;
  /** Calls of one number share what their prompts have in common, whatever the cache; 0: none. */
  readonly prefixGroup: number;
  readonly signal: AbortSignal | undefined;
  readonly startedAt: number;
  readonly preparedMs: number;
}

/** Texts may differ and be the same to the model: the tokenizer's NFC composes letters. */
function checkDistinct(texts: readonly string[], ids: readonly Int32Array[]): void {
  const seen = new Map<string, number>();
  const details = texts.flatMap((text, i) => {
    const key = String(ids[i]);
    const first = seen.get(key);
    if (first === undefined) seen.set(key, i);
    return first === undefined
      ? []
      : [`choices[${i}]: ${JSON.stringify(text)} is the same to the model as choices[${first}]`];
  });
  if (details.length === 0) return;
  throw new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', 'a choice is given twice', {
    details,
  });
}

/** @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT for choices that are the same to the model */
export async function choose(
  context: ChooseContext,
  prompt: PicturedPrompt,
  given: readonly (string | { readonly text: string; readonly label?: string | undefined })[],
): Promise<ChoiceResult> {
  const options = given.map((one) => (typeof one === 'string' ? { text: one } : one));
  const texts = options.map(({ text }) => text);
  const { native, tokenizer, endId, signal } = context;
  signal?.throwIfAborted();
  const end = endId === undefined ? [] : [endId];
  const ids = await Promise.all(
    texts.map(async (text) =>
      Int32Array.from([...(await tokenizer.encodeSegments([{ text, trusted: false }])), ...end]),
    ),
  );
  checkDistinct(texts, ids);
  signal?.throwIfAborted();
  const job = context.pixels.submit(prompt.images, (images) =>
    native.choose({
      prompt: { ids: prompt.ids, images },
      adapters: context.adapters,
      choices: ids,
      usesPrefixCache: context.usesPrefixCache,
      prefixGroup: context.prefixGroup,
    }),
  );
  const result = await settle(job, signal);
  const probabilities = softmax([...result.logProbs]);
  const choices = texts.map((text, i) => ({
    text,
    label: options[i]?.label ?? text,
    logProb: result.logProbs[i] ?? -Infinity,
    probability: probabilities[i] ?? 0,
    tokenIds: [...(ids[i] ?? [])],
    tokenLogProbs: [...(result.tokenLogProbs[i] ?? [])],
  }));
  const best = choices.reduce((a, b) => (b.logProb > a.logProb ? b : a));
  const sum = (values: readonly number[]): number => values.reduce((total, x) => total + x, 0);
  return {
    choices,
    best,
    ...facesOf(prompt),
    mass: sum(choices.map(({ logProb }) => Math.exp(logProb))),
    entropy: sum(probabilities.map((p) => (p > 0 ? -p * Math.log(p) : 0))),
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
