/** Text and tokens of one answer as they come: which tokens travel with which piece of text. */
import type { Detokenizer, TextCoder } from '../tokenizer/index.js';
import type { Answer, AnswerPiece } from './answer.js';
import type { AnswerToken } from './answer-token.js';
import { StopStrings } from './stop-strings.js';

export interface AnswerTextOptions {
  /** Which of the answers to its prompt. */
  readonly index: number;
  readonly tokenizer: TextCoder;
  readonly stops: readonly string[];
  /** Ids that end an answer. */
  readonly ends: ReadonlySet<number>;
  /** Tokens that the engine gives at most. */
  readonly most: number;
  readonly push: (piece: AnswerPiece) => void;
}

export class AnswerText {
  readonly #options: AnswerTextOptions;
  readonly #tokens: AnswerToken[] = [];
  readonly #detokenizer: Detokenizer;
  readonly #stops: StopStrings;
  /** Shown. */
  #text = '';
  /** Characters written, shown or held back. */
  #written = 0;
  /** Where the text of each token that has come with no piece yet begins; the closing one has none. */
  readonly #starts: number[] = [];
  #isOver = false;
  #error: Error | undefined;

  constructor(options: AnswerTextOptions) {
    this.#options = options;
    this.#detokenizer = options.tokenizer.detokenizer();
    this.#stops = new StopStrings(options.stops);
  }

  /** A stop string has ended it; the engine does not know. */
  get isStopped(): boolean {
    return this.#stops.isStopped;
  }

  /** Nothing more is wanted of it, or will come. */
  get isOver(): boolean {
    return this.#isOver;
  }

  add(token: AnswerToken): void {
    if (this.#isOver) return;
    this.#tokens.push(token);
    const isEnd = this.#options.ends.has(token.id);
    this.#starts.push(isEnd ? Infinity : this.#written);
    this.#show(this.#detokenizer.push(token.id));
    if (this.isStopped || isEnd || this.#tokens.length >= this.#options.most) this.finish();
  }

  /** Ends it; what it has so far is shown. */
  fail(error: Error): void {
    if (this.#isOver) return;
    this.#error = error;
    this.finish();
  }

  get error(): Error | undefined {
    return this.#error;
  }

  /** What was held back comes now. Idempotent. */
  finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (!this.isStopped) {
      this.#show(this.#detokenizer.finish());
      this.#release(this.#stops.finish());
    }
    if (this.#starts.length > 0) this.#push('', this.#starts.length);
  }

  answer(): Answer {
    const found = this.#stops.found;
    const hasTop = this.#tokens.some(({ top }) => top !== undefined);
    const hasMask = this.#tokens.some(({ maskMass }) => maskMass !== undefined);
    const isEnded = this.#options.ends.has(this.#tokens.at(-1)?.id ?? -1);
    return {
      text: this.#text,
      tokenIds: this.#tokens.map(({ id }) => id),
      logProbs: this.#tokens.map(({ logProb }) => logProb),
      ...(hasTop ? { topLogProbs: this.#tokens.map(({ top }) => top ?? []) } : {}),
      ...(hasMask ? { maskMasses: this.#tokens.map(({ maskMass }) => maskMass ?? 1) } : {}),
      ...(this.#error !== undefined
        ? { finishReason: 'error', error: this.#error }
        : found !== undefined
          ? { finishReason: 'stop-string', stopString: found }
          : { finishReason: isEnded ? 'stop' : 'length' }),
    };
  }

  #show(written: string): void {
    this.#written += written.length;
    this.#release(this.#stops.push(written));
  }

  #release(shown: string): void {
    if (shown === '') return;
    this.#text += shown;
    const held = this.#starts.findIndex((start) => start >= this.#text.length);
    this.#push(shown, held < 0 ? this.#starts.length : held);
  }

  /** @param count of the tokens that have come with no piece yet: so many come with this one */
  #push(text: string, count: number): void {
    const first = this.#tokens.length - this.#starts.length;
    this.#starts.splice(0, count);
    const tokens = this.#tokens.slice(first, first + count);
    this.#options.push({ index: this.#options.index, text, tokens });
  }
}
