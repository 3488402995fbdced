/** Runs prompts on the engine and turns its tokens into texts. */
import { setMaxListeners } from 'node:events';

import type { NativePrompt } from '../binding/native.js';
import { settle } from '../binding/settle.js';
import type { Detokenizer, TextCoder } from '../tokenizer/index.js';
import type { AnswerResult } from './answer.js';
import { type ResolvedGeneration, samplingOf } from './options.js';
import { promptHash } from './prompt-hash.js';
import { StopStrings } from './stop-strings.js';
import type { TokenRouter } from './token-router.js';

export interface GenerateContext {
  readonly tokens: TokenRouter;
  /** Ids of the adapters that work. */
  readonly adapters: readonly number[];
  readonly tokenizer: TextCoder;
  readonly eosIds: readonly number[];
  /** Of prompt and answer together, at most. */
  readonly maxPositions: number;
  readonly usesPrefixCache: boolean;
  readonly signal: AbortSignal | undefined;
  /** When the call began and how long Node's own preparation took, milliseconds. */
  readonly startedAt: number;
  readonly preparedMs: number;
}

/** Text and ids of one row as they come. */
class RowText {
  readonly ids: number[] = [];
  readonly logProbs: number[] = [];
  text = '';
  firstTokenAt = 0;
  readonly #detokenizer: Detokenizer;
  readonly #stops: StopStrings;
  readonly #push: (piece: string) => void;

  readonly #isLast: (id: number, count: number) => boolean;
  #isEnded = false;

  /** @param isLast whether the engine ends the row after this id, the `count`th */
  constructor(
    tokenizer: TextCoder,
    stops: readonly string[],
    isLast: (id: number, count: number) => boolean,
    push: (piece: string) => void,
  ) {
    this.#detokenizer = tokenizer.detokenizer();
    this.#stops = new StopStrings(stops);
    this.#isLast = isLast;
    this.#push = push;
  }

  get isStopped(): boolean {
    return this.#stops.isStopped;
  }

  /** Nothing more is wanted of this row, or will come. */
  get isOver(): boolean {
    return this.#isEnded || this.isStopped;
  }

  add(id: number, logProb: number): void {
    if (this.isStopped) return;
    if (this.ids.length === 0) this.firstTokenAt = performance.now();
    this.ids.push(id);
    this.logProbs.push(logProb);
    this.#isEnded = this.#isLast(id, this.ids.length);
    this.#show(this.#stops.push(this.#detokenizer.push(id)));
  }

  finish(): void {
    if (this.isStopped) return;
    this.#show(this.#stops.push(this.#detokenizer.finish()));
    this.#show(this.#stops.finish());
  }

  #show(piece: string): void {
    if (piece === '') return;
    this.text += piece;
    this.#push(piece);
  }
}

/**
 * Answers each prompt by a request of its own; the engine computes them together.
 *
 * @param push receives each piece of text with its prompt's place
 * @throws the signal's reason when aborted, else FaceLlmError; of several the first, and the others are stopped
 */
export async function generate(
  context: GenerateContext,
  prompts: readonly NativePrompt[],
  options: ResolvedGeneration,
  push: (row: number, piece: string) => void,
): Promise<readonly AnswerResult[]> {
  context.signal?.throwIfAborted();
  const others = new AbortController();
  const signal =
    context.signal === undefined ? others.signal : AbortSignal.any([context.signal, others.signal]);
  // One listener a prompt is no leak.
  setMaxListeners(0, signal);
  const answers = prompts.map((prompt, place) =>
    answer({ ...context, signal }, prompt, options, place, (piece) => push(place, piece)),
  );
  try {
    return await Promise.all(answers);
  } catch (error) {
    others.abort(error);
    await Promise.allSettled(answers);
    throw error;
  }
}

async function answer(
  context: GenerateContext,
  prompt: NativePrompt,
  options: ResolvedGeneration,
  place: number,
  push: (piece: string) => void,
): Promise<AnswerResult> {
  const { signal } = context;
  const ends = new Set(context.eosIds);
  const most = Math.min(options.maxNewTokens, context.maxPositions - prompt.ids.length);
  const isLast = (id: number, count: number): boolean => ends.has(id) || count >= most;
  const row = new RowText(context.tokenizer, options.stop, isLast, push);
  const job = context.tokens.generate(
    {
      prompt,
      adapters: context.adapters,
      sampling: options.sampling,
      rows: 1,
      firstRow: place,
      maxNewTokens: options.maxNewTokens,
      eosIds: context.eosIds,
      usesPrefixCache: context.usesPrefixCache,
    },
    (_, id, logProb) => {
      row.add(id, logProb);
      if (row.isStopped) job.cancel();
    },
  );
  const result = await settle(job, signal);
  // Cut short is no failure to the engine: what it has by then counts, as for a stop string.
  signal?.throwIfAborted();
  const now = performance.now();
  row.finish();
  const [native] = result.rows;
  return {
    text: row.text,
    tokenIds: row.ids,
    logProbs: row.logProbs,
    promptHash: promptHash(prompt.ids),
    promptTokens: native?.promptTokens ?? 0,
    imageTokens: native?.imageTokens ?? 0,
    cachedTokens: native?.cachedTokens ?? 0,
    finishReason: row.isStopped
      ? 'stop-string'
      : ends.has(row.ids.at(-1) ?? -1)
        ? 'stop'
        : 'length',
    sampling: samplingOf(options),
    timings: {
      ...result.timings,
      preprocess: context.preparedMs + result.timings.preprocess,
      firstToken: row.firstTokenAt === 0 ? 0 : row.firstTokenAt - context.startedAt,
      total: now - context.startedAt,
    },
    peakBytes: result.peakBytes,
  };
}
