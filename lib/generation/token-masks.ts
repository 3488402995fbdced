/** Which ids an answer's next token may be, asked of the caller while the engine computes that token. */
import { InvalidArgumentError } from '../errors.js';
import type { AnswerToken } from './answer-token.js';

/**
 * The ids that the next token may be, a bit an id: id i is bit i % 32 (lowest first) of word i / 32. As many words as the
 * model's whole vocabulary takes, `Math.ceil(model.config.model.text.vocabSize / 32)`, one id at least allowed; null:
 * any id. The model's end ids are ids like others. Asked once a token, while the engine computes the token's
 * scores and with nobody else waiting; what it throws ends this answer alone. The array may be used again
 * for the next token.
 *
 * @param tokens of the answer so far
 * @param index which of the `n` answers
 */
export type TokenMaskFunction = (tokens: readonly number[], index: number) => Uint32Array | null;

/** Where masks go. */
interface MaskTarget {
  setMask(row: number, step: number, words: Uint32Array | null): void;
}

export class TokenMasks {
  readonly #mask: TokenMaskFunction;
  readonly #words: number;
  readonly #index: number;
  readonly #ids: number[] = [];
  /** Of the token that comes next. */
  #current: Uint32Array | null = null;

  /** @param index which of the answers */
  constructor(mask: TokenMaskFunction, vocabSize: number, index: number) {
    this.#mask = mask;
    this.#words = Math.ceil(vocabSize / 32);
    this.#index = index;
  }

  /** Asks for the next token's mask and hands it on. @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT */
  ask(target: MaskTarget): void {
    const words = this.#next();
    this.#current = words === null ? null : Uint32Array.from(words);
    target.setMask(this.#index, this.#ids.length, this.#current);
  }

  /** The token with what its mask made of it. */
  take(token: AnswerToken, maskMass: number): AnswerToken {
    this.#ids.push(token.id);
    if (token.top === undefined) return { ...token, maskMass };
    return {
      ...{ ...token, maskMass },
      top: token.top.map((one) => ({ ...one, allowed: this.#allows(one.id) })),
    };
  }

  #allows(id: number): boolean {
    return this.#current === null || (((this.#current[id >>> 5] ?? 0) >>> (id & 31)) & 1) === 1;
  }

  #next(): Uint32Array | null {
    const place = `mask: of token ${this.#ids.length} of answer ${this.#index}`;
    let words: unknown;
    try {
      words = this.#mask([...this.#ids], this.#index);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', `${place}: it threw: ${reason}`, {
        cause,
      });
    }
    if (words === null) return null;
    const expected = `expected null or a Uint32Array of ${this.#words} words of 32 ids`;
    if (!(words instanceof Uint32Array)) {
      throw new InvalidArgumentError(
        'FACELLM_INVALID_ARGUMENT',
        `${place}: ${expected}, received ${typeof words}`,
      );
    }
    if (words.length !== this.#words) {
      throw new InvalidArgumentError(
        'FACELLM_INVALID_ARGUMENT',
        `${place}: ${expected}, received ${words.length}`,
      );
    }
    if (words.every((word) => word === 0)) {
      throw new InvalidArgumentError(
        'FACELLM_INVALID_ARGUMENT',
        `${place}: it forbids every id; allow an end id where the answer may end`,
      );
    }
    return words;
  }
}
