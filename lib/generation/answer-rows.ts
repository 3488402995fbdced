/** The answers to one prompt while the engine computes them: each ends by its own stop string, limit or failure. */
import type { NativeGenerateJob, NativePrompt, NativeRowResult } from '../binding/native.js';
import { fromNative } from '../errors.js';
import type { Answer, AnswerPiece } from './answer.js';
import type { AnswerToken } from './answer-token.js';
import { AnswerText } from './answer-text.js';
import type { TextCoder } from '../tokenizer/index.js';
import type { ResolvedGeneration } from './options.js';
import { TokenMasks } from './token-masks.js';

/** What answers take of their model. */
export interface AnswerContext {
  readonly tokenizer: TextCoder;
  readonly eosIds: readonly number[];
  /** Of prompt and answer together, at most. */
  readonly maxPositions: number;
  /** Of the model: ids that a mask covers. */
  readonly vocabSize: number;
}

export class AnswerRows {
  readonly #texts: readonly AnswerText[];
  readonly #masks: readonly TokenMasks[];
  #job: NativeGenerateJob | undefined;
  /** 0: none has come. */
  firstTokenAt = 0;

  constructor(
    { tokenizer, eosIds, maxPositions, vocabSize }: AnswerContext,
    { ids }: NativePrompt,
    { n, stop, mask, maxNewTokens }: ResolvedGeneration,
    push: (piece: AnswerPiece) => void,
  ) {
    const ends = new Set(eosIds);
    const most = Math.min(maxNewTokens, maxPositions - ids.length);
    const indices = Array.from({ length: n }, (_, index) => index);
    this.#texts = indices.map(
      (index) => new AnswerText({ index, tokenizer, stops: stop, ends, most, push }),
    );
    this.#masks =
      mask === undefined ? [] : indices.map((index) => new TokenMasks(mask, vocabSize, index));
  }

  /** Once the engine has the request. */
  start(job: NativeGenerateJob): void {
    this.#job = job;
    this.#masks.forEach((_, row) => this.#ask(row));
  }

  take(row: number, token: AnswerToken, maskMass: number): void {
    const text = this.#texts[row];
    if (text === undefined || text.isOver) return;
    if (this.firstTokenAt === 0) this.firstTokenAt = performance.now();
    const masks = this.#masks[row];
    text.add(masks === undefined ? token : masks.take(token, maskMass));
    if (text.isStopped) this.#end(row);
    // Not before everybody has the tokens of this step.
    else if (masks !== undefined && !text.isOver) queueMicrotask(() => this.#ask(row));
  }

  /** @throws FaceLlmError the first answer's, if all have failed */
  finish(results: readonly NativeRowResult[]): readonly [Answer, ...Answer[]] {
    this.#texts.forEach((text, row) => {
      const error = results[row]?.error;
      if (error) text.fail(fromNative(error));
      text.finish();
    });
    this.throwIfFailed();
    return this.#texts.map((text) => text.answer()) as [Answer, ...Answer[]];
  }

  /** @throws FaceLlmError the first answer's, if all have failed */
  throwIfFailed(): void {
    const [first] = this.#texts;
    if (first?.error === undefined) return;
    if (this.#texts.every(({ error }) => error !== undefined)) throw first.error;
  }

  #ask(row: number): void {
    const job = this.#job;
    if (job === undefined) return;
    try {
      this.#masks[row]?.ask(job);
    } catch (error) {
      this.#texts[row]?.fail(error as Error);
      this.#end(row);
    }
  }

  #end(row: number): void {
    if (this.#texts.every(({ isOver }) => isOver)) this.#job?.cancel();
    else this.#job?.endRow(row);
  }
}
