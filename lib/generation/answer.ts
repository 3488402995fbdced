/** What comes of a question: text as it is written, and the facts about it afterwards. */

import { InvalidArgumentError } from '../errors.js';
import type { Sampling } from './options.js';
import type { AnswerToken, TokenLogProb } from './answer-token.js';
import type { FacesSeen } from './pixel-desk.js';

/** Wall-clock milliseconds. */
export interface AnswerTimings {
  /** In the engine, before the first step that worked for it. */
  readonly queue: number;
  /** Reading and decoding pictures, writing the prompt (in Node), cutting and scaling tiles. */
  readonly preprocess: number;
  readonly vision: number;
  readonly prefill: number;
  readonly decode: number;
  /** From the call to the first token; 0 if there was none. */
  readonly firstToken: number;
  readonly total: number;
}

/**
 * `stop`: the model ended its turn; `length`: token or position limit; `stop-string`: a given text; `error`: of one of
 * several answers, see {@link Answer.error}.
 */
export type FinishReason = 'stop' | 'length' | 'stop-string' | 'error';

/**
 * Text of one answer as it comes, with the tokens whose text it releases: one that ends inside a character, or that might
 * begin a stop string, comes with the text behind it. Those of which nothing is shown in the end (the closing
 * control token, tokens of a stop string alone) come last, with an empty text.
 */
export interface AnswerPiece {
  /** Which of the `n` answers. */
  readonly index: number;
  readonly text: string;
  readonly tokens: readonly AnswerToken[];
}

/** One of the answers to a prompt. */
export interface Answer {
  readonly text: string;
  /** Generated ids, the closing control token included. */
  readonly tokenIds: readonly number[];
  /**
   * Natural log of each id's probability under the model, before penalties, mask, temperature and filters; with
   * `logProbs: 'processed'` that in the distribution it was drawn from.
   */
  readonly logProbs: readonly number[];
  /** Of each id's place the most probable ids, most probable first; with `topLogProbs`. */
  readonly topLogProbs?: readonly (readonly TokenLogProb[])[];
  /** Of each id the probability that the model gave to all ids that its mask allowed; with `mask`. */
  readonly maskMasses?: readonly number[];
  readonly finishReason: FinishReason;
  /** Which of the stop strings ended it. */
  readonly stopString?: string;
  /** A FaceLlmError: what ended it, where other answers went on. If all of them fail, the result rejects. */
  readonly error?: Error;
}

/** The first answer's own fields, all answers, and what the request as a whole took. */
export interface AnswerResult extends Answer, FacesSeen {
  /** `n` of them, in the order of their streams of draws. */
  readonly answers: readonly Answer[];
  /** sha256 of the prompt's token ids, each as a 32-bit little-endian number. */
  readonly promptHash: string;
  readonly promptTokens: number;
  readonly imageTokens: number;
  /** Prompt tokens that an earlier question had already computed. */
  readonly cachedTokens: number;
  /** How often blocks of it were taken for others and computed again. */
  readonly preemptions: number;
  /** How the answers were drawn, with every default in place. */
  readonly sampling: Sampling;
  readonly timings: AnswerTimings;
  /** Memory that the request held at its most: keys and values in whole blocks, and vectors of its pictures. */
  readonly peakBytes: number;
}

/**
 * An answer under way. Iterate it for pieces of text as they come, or await {@link result}. The work
 * starts at once; leaving the loop stops it. It can be iterated once. A loop that is slow does not hold up the engine,
 * which other requests are waiting for: it gets what came meanwhile as one piece. Several answers (`n` above 1) come by
 * {@link pieces}.
 */
export class AnswerStream implements AsyncIterable<string> {
  readonly #abort = new AbortController();
  readonly #result: Promise<AnswerResult>;
  readonly #count: () => number;
  /** Come, and not yet taken. */
  #pending: AnswerPiece[] = [];
  #isTaken = false;
  #isDone = false;
  #wake: (() => void) | undefined;

  /**
   * @param start does the work; calls `push` for each piece, stops on `signal`
   * @param count of answers, known once `start` has returned
   */
  constructor(
    start: (push: (piece: AnswerPiece) => void, signal: AbortSignal) => Promise<AnswerResult>,
    count: () => number = () => 1,
  ) {
    const push = (piece: AnswerPiece): void => {
      this.#pending.push(piece);
      this.#wake?.();
    };
    this.#count = count;
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

  /** The whole text; of several answers the first's. */
  async text(): Promise<string> {
    return (await this.#result).text;
  }

  /** Stops the work; {@link result} rejects with `reason`. */
  cancel(reason?: unknown): void {
    this.#abort.abort(reason);
  }

  /**
   * Pieces of all answers in the order in which they come, none left out and none joined. Their tokens together are the
   * result's. In place of a loop over the text: one of them can be had.
   *
   * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT for a second loop
   */
  pieces(): AsyncGenerator<AnswerPiece, void, undefined> {
    return this.#iterate((pieces) => pieces);
  }

  /**
   * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT for a second loop: the first has taken the pieces; for several
   *   answers, whose texts a loop over text would mix: nothing is computed then
   */
  [Symbol.asyncIterator](): AsyncGenerator<string, void, undefined> {
    const count = this.#count();
    if (count > 1) {
      const error = new InvalidArgumentError(
        'FACELLM_INVALID_ARGUMENT',
        `n: the texts of ${count} answers would be mixed; iterate pieces(), which names the answer of each, or await result()`,
      );
      this.cancel(error);
      throw error;
    }
    return this.#iterate((pieces) => {
      const text = pieces.map((piece) => piece.text).join('');
      return text === '' ? [] : [text];
    });
  }

  /** @param join what is given of the pieces that have come since it was asked last */
  #iterate<T>(
    join: (pieces: readonly AnswerPiece[]) => readonly T[],
  ): AsyncGenerator<T, void, undefined> {
    if (this.#isTaken) {
      throw new InvalidArgumentError(
        'FACELLM_INVALID_ARGUMENT',
        'an answer can be iterated once, and this one has been; text() gives the whole of it, any number of times',
      );
    }
    this.#isTaken = true;
    return this.#take(join);
  }

  async *#take<T>(
    join: (pieces: readonly AnswerPiece[]) => readonly T[],
  ): AsyncGenerator<T, void, undefined> {
    try {
      for (;;) {
        const pieces = this.#pending;
        this.#pending = [];
        if (pieces.length > 0) yield* join(pieces);
        else if (this.#isDone) break;
        else await new Promise<void>((resolve) => (this.#wake = resolve));
      }
      await this.#result;
    } finally {
      if (!this.#isDone) this.cancel();
    }
  }

  /** The pieces of text as a web stream. Throws as a loop over the answer would. */
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
