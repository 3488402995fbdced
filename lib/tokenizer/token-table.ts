/** What each id stands for, in flat arrays: made once, cheap to hand to another thread. */
import { tokenBytes } from './byte-level.js';
import { Detokenizer } from './detokenizer.js';

export interface DecodeOptions {
  /** @default true */
  readonly skipSpecialTokens?: boolean;
}

export interface TokenTableData {
  /** Bytes of all ids, one after the other. */
  readonly bytes: Uint8Array;
  /** `[vocabSize + 1]`: where the bytes of each id begin. Ids without an entry have none. */
  readonly offsets: Uint32Array;
  readonly special: readonly number[];
}

export class TokenTable {
  readonly data: TokenTableData;
  readonly #special: ReadonlySet<number>;

  constructor(data: TokenTableData) {
    this.data = data;
    this.#special = new Set(data.special);
  }

  /** @param pieces vocabulary entries by id, with holes where an id has none */
  static of(pieces: readonly (string | undefined)[], special: readonly number[]): TokenTable {
    const all = pieces.map((piece) => (piece === undefined ? undefined : tokenBytes(piece)));
    const offsets = new Uint32Array(pieces.length + 1);
    let total = 0;
    for (let id = 0; id < pieces.length; id++) {
      total += all[id]?.length ?? 0;
      offsets[id + 1] = total;
    }
    const bytes = new Uint8Array(total);
    all.forEach((piece, id) => piece && bytes.set(piece, offsets[id]));
    return new TokenTable({ bytes, offsets, special });
  }

  /** One more than the largest id. */
  get vocabSize(): number {
    return this.data.offsets.length - 1;
  }

  /** Undefined for an id outside the table. */
  bytesOf(id: number): Uint8Array | undefined {
    if (!Number.isInteger(id) || id < 0 || id >= this.vocabSize) return undefined;
    return this.data.bytes.subarray(this.data.offsets[id], this.data.offsets[id + 1]);
  }

  /** A stream whose pieces add up to {@link decode}. */
  detokenizer(options: DecodeOptions = {}): Detokenizer {
    const skips = options.skipSpecialTokens ?? true;
    return new Detokenizer((id) => (skips && this.#special.has(id) ? undefined : this.bytesOf(id)));
  }

  /** Text of ids. Invalid UTF-8 becomes U+FFFD, one for each maximal invalid stretch. */
  decode(ids: Iterable<number>, options: DecodeOptions = {}): string {
    const stream = this.detokenizer(options);
    let text = '';
    for (const id of ids) text += stream.push(id);
    return text + stream.finish();
  }
}
