/** Runs prompts on the engine and turns its tokens into texts. */
import type { NativeModel, NativePrompt, NativeTokenBatch } from '../binding/native.js';
import { settle } from '../binding/settle.js';
import type { Detokenizer, TextCoder } from '../tokenizer/index.js';
import type { AnswerResult } from './answer.js';
import { type ResolvedGeneration, samplingOf } from './options.js';
import { promptHash } from './prompt-hash.js';
import { StopStrings } from './stop-strings.js';

export interface GenerateContext {
  readonly native: NativeModel;
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
 * Generates an answer for each prompt of a batch.
 *
 * @param push receives each piece of text with its row
 * @throws the signal's reason when aborted, else FaceLlmError
 */
export async function generate(
  context: GenerateContext,
  prompts: readonly NativePrompt[],
  options: ResolvedGeneration,
  push: (row: number, piece: string) => void,
): Promise<readonly AnswerResult[]> {
  const { native, signal } = context;
  signal?.throwIfAborted();
  const ends = new Set(context.eosIds);
  const rows = prompts.map(({ ids }, row) => {
    const most = Math.min(options.maxNewTokens, context.maxPositions - ids.length);
    const isLast = (id: number, count: number): boolean => ends.has(id) || count >= most;
    return new RowText(context.tokenizer, options.stop, isLast, (piece) => push(row, piece));
  });
  const job = native.generate(
    {
      prompts,
      adapters: context.adapters,
      sampling: options.sampling,
      maxNewTokens: options.maxNewTokens,
      eosIds: context.eosIds,
      usesPrefixCache: context.usesPrefixCache,
    },
    (batch: NativeTokenBatch) => {
      batch.rows.forEach((row, i) => rows[row]?.add(batch.ids[i] ?? 0, batch.logProbs[i] ?? 0));
      // Rows that end by themselves end the job; one that met a stop string would go on.
      if (rows.every((row) => row.isOver) && rows.some((row) => row.isStopped)) job.cancel();
    },
  );
  const result = await settle(job, signal);
  // Cut short is no failure to the engine: what it has by then counts, as for a stop string.
  signal?.throwIfAborted();
  const now = performance.now();
  return rows.map((row, i) => {
    row.finish();
    const native = result.rows[i];
    return {
      text: row.text,
      tokenIds: row.ids,
      logProbs: row.logProbs,
      promptHash: promptHash(prompts[i]?.ids ?? new Int32Array()),
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
  });
}
