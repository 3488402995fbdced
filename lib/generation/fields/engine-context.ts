/** What writing an answer by a schema takes of its model, and what it has cost so far. */
import type { NativeModel, NativeSampling, NativeTimings } from '../../binding/native.js';
import type { TokenBytes } from '../../structured/index.js';
import type { TextCoder } from '../../tokenizer/index.js';
import type { PicturedPrompt, PixelDesk } from '../pixel-desk.js';
import type { GrammarThread } from '../grammar/grammar-thread.js';
import type { GrammarClient } from '../grammar/grammar-turns.js';
import type { TokenRouter } from '../token-router.js';

export interface FieldsContext {
  readonly native: NativeModel;
  readonly tokens: TokenRouter;
  readonly pixels: PixelDesk;
  readonly tokenizer: TextCoder & TokenBytes;
  /** Starts with what needs it. */
  readonly grammars: GrammarThread;
  /** As whom they are asked for. */
  readonly client: GrammarClient | undefined;
  /** Ids of the adapters that work. */
  readonly adapters: readonly number[];
  /** Of the model: ids that a mask covers. */
  readonly vocabSize: number;
  /** Closes the answer. */
  readonly endId: number;
  readonly eosIds: readonly number[];
  /** Of prompt and answer together, at most. */
  readonly maxPositions: number;
  readonly usesPrefixCache: boolean;
  readonly signal: AbortSignal | undefined;
  readonly prompt: PicturedPrompt;
  /** Tokens of the answer, at most. */
  readonly maxNewTokens: number;
  /** Of free places; its seed is that of the whole answer. */
  readonly sampling: NativeSampling;
  readonly cost: FieldsCost;
}

/** Of all requests to the engine that one answer has come to. */
export class FieldsCost {
  queue = 0;
  preprocess = 0;
  vision = 0;
  prefill = 0;
  decode = 0;
  peakBytes = 0;
  preemptions = 0;
  /** Of the first request: what was there before this call. */
  cachedTokens: number | undefined;
  imageTokens = 0;
  promptTokens = 0;

  add(timings: NativeTimings, peakBytes: number): void {
    this.queue += timings.queue;
    this.preprocess += timings.preprocess;
    this.vision += timings.vision;
    this.prefill += timings.prefill;
    this.decode += timings.decode;
    this.peakBytes = Math.max(this.peakBytes, peakBytes);
  }
}

/** The answer has as many tokens as it may have, and is not whole. */
export class OutOfTokens extends Error {
  /** A beginning of what would have come. */
  readonly rest: string;

  constructor(rest = '') {
    super('the answer has as many tokens as it may have');
    this.rest = rest;
  }
}

/** Ids of an answer's text as the model's own tokenizer writes it, and where each begins among its bytes. */
export async function encodeAnswer(
  { tokenizer }: Pick<FieldsContext, 'tokenizer'>,
  text: string,
): Promise<{ readonly ids: readonly number[]; readonly ends: readonly number[] }> {
  const ids = await tokenizer.encodeSegments([{ text, trusted: false }]);
  let end = 0;
  const ends = ids.map((id) => (end += tokenizer.tokenBytes(id)?.length ?? 0));
  return { ids, ends };
}
