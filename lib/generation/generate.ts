/** Runs prompts on the engine and turns its tokens into texts. */
import type { NativeModel, NativePrompt, NativeTokenBatch } from '../binding/native.js';
import { settle } from '../binding/settle.js';
import type { Detokenizer, TextCoder } from '../tokenizer/index.js';
import type { AnswerResult, FinishReason } from './answer.js';
import { type ResolvedGeneration, samplingOf } from './options.js';
import { promptHash } from './prompt-hash.js';
import { StopStrings } from './stop-strings.js';

export interface GenerateContext {
  readonly native: NativeModel;
  /** Ids of the adapters that work. */
  readonly adapters: readonly number[];
  readonly tokenizer: TextCoder;
  readonly eosIds: readonly number[];
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

  constructor(tokenizer: TextCoder, stops: readonly string[], push: (piece: string) => void) {
    this.#detokenizer = tokenizer.detokenizer();
    this.#stops = new StopStrings(stops);
    this.#push = push;
  }

  get isStopped(): boolean {
    return this.#stops.isStopped;
  }

  add(id: number, logProb: number): void {
    if (this.isStopped) return;
    if (this.ids.length === 0) this.firstTokenAt = performance.now();
    this.ids.push(id);
    this.logProbs.push(logProb);
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
  const rows = prompts.map(
    (_, row) => new RowText(context.tokenizer, options.stop, (piece) => push(row, piece)),
  );
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
      if (rows.every((row) => row.isStopped)) job.cancel();
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
      finishReason: finishReason(row.isStopped, native?.finishReason),
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

function finishReason(isStopped: boolean, native: string | undefined): FinishReason {
  if (isStopped) return 'stop-string';
  return native === 'eos' ? 'stop' : 'length';
}
