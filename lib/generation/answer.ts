/** What comes of a question: text as it is written, and the facts about it afterwards. */

import { InvalidArgumentError } from '../errors.js';
import type { Sampling } from './options.js';

/** Wall-clock milliseconds. */
export interface AnswerTimings {
  /** Reading and decoding pictures, writing the prompt (in Node), cutting and scaling tiles. */
  readonly preprocess: number;
  readonly vision: number;
  readonly prefill: number;
  readonly decode: number;
  /** From the call to the first token; 0 if there was none. */
  readonly firstToken: number;
  readonly total: number;
}

/** `stop`: the model ended its turn; `length`: token or position limit; `stop-string`: a given text. */
export type FinishReason = 'stop' | 'length' | 'stop-string';

export interface AnswerResult {
  readonly text: string;
  /** Generated ids, the closing control token included. */
  readonly tokenIds: readonly number[];
  /** Natural log of each id's probability under the model, before temperature and filters. */
  readonly logProbs: readonly number[];
  /** sha256 of the prompt's token ids, each as a 32-bit little-endian number. */
  readonly promptHash: string;
  readonly promptTokens: number;
  readonly imageTokens: number;
  /** Prompt tokens that an earlier question had already computed. */
  readonly cachedTokens: number;
  readonly finishReason: FinishReason;
  /** How the answer was drawn, with every default in place. */
  readonly sampling: Sampling;
  readonly timings: AnswerTimings;
  /** Memory that the request held at its most: keys and values in whole blocks, and vectors of its pictures. */
  readonly peakBytes: number;
}

/**
 * An answer under way. Iterate it for pieces of text as they come, or await {@link result}. The work
 * starts at once; leaving the loop stops it. It can be iterated once. A loop that is slow does not hold up the engine,
 * which other requests are waiting for: it gets what came meanwhile as one piece.
 */
export class AnswerStream implements AsyncIterable<string> {
  readonly #abort = new AbortController();
  readonly #result: Promise<AnswerResult>;
  /** Written, and not yet taken. */
  #text = '';
  #isTaken = false;
  #isDone = false;
  #wake: (() => void) | undefined;

  /** @param start does the work; calls `push` for each piece of text, stops on `signal` */
  constructor(
    start: (push: (piece: string) => void, signal: AbortSignal) => Promise<AnswerResult>,
  ) {
    const push = (piece: string): void => {
      this.#text += piece;
      this.#wake?.();
    };
    this.#result = start(push, this.#abort.signal).finally(() => {
      this.#isDone = true;
      this.#wake?.();
    });
    // A failure reaches whoever iterates or awaits; nobody doing so must not end the process.
    this.#result.catch(() => {});
  }

  /** The whole answer. */
  result(): Promise<AnswerResult> {
    return this.#result;
  }

  /** The whole text. */
  async text(): Promise<string> {
    return (await this.#result).text;
  }

  /** Stops the work; {@link result} rejects with `reason`. */
  cancel(reason?: unknown): void {
    this.#abort.abort(reason);
  }

  /** @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT for a second loop: the first has taken the pieces */
  [Symbol.asyncIterator](): AsyncGenerator<string, void, undefined> {
    if (this.#isTaken) {
      throw new InvalidArgumentError(
        'FACELLM_INVALID_ARGUMENT',
        'an answer can be iterated once, and this one has been; text() gives the whole of it, any number of times',
      );
    }
    this.#isTaken = true;
    return this.#pieces();
  }

  async *#pieces(): AsyncGenerator<string, void, undefined> {
    try {
      for (;;) {
        const piece = this.#text;
        this.#text = '';
        if (piece !== '') yield piece;
        else if (this.#isDone) break;
        else await new Promise<void>((resolve) => (this.#wake = resolve));
      }
      await this.#result;
    } finally {
      if (!this.#isDone) this.cancel();
    }
  }

  /** The pieces as a web stream. Throws as a loop over the answer would. */
  toReadableStream(): ReadableStream<string> {
    const pieces = this[Symbol.asyncIterator]();
    return new ReadableStream<string>({
      async pull(controller) {
        const next = await pieces.next();
        if (next.done === true) controller.close();
        else controller.enqueue(next.value);
      },
      async cancel() {
        await pieces.return();
      },
    });
  }
}
