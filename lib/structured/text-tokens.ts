/** The ids of a vocabulary that are text, for masks: by their first byte, and by what each does to a JSON string. */

/** What masks take of a tokenizer. */
export interface TokenBytes {
  readonly vocabSize: number;
  readonly controlTokens: ReadonlyMap<string, number>;
  tokenBytes(id: number): Uint8Array | undefined;
}

export class TextTokens {
  /** Ids that may stand in text, with their bytes. */
  readonly ids: readonly number[];
  readonly bytes: readonly Uint8Array[];
  /** Places in `ids` of those that begin with each byte. */
  readonly #byFirst: readonly number[][] = Array.from({ length: 256 }, () => []);

  constructor(tokens: TokenBytes) {
    const control = new Set(tokens.controlTokens.values());
    const ids: number[] = [];
    const bytes: Uint8Array[] = [];
    for (let id = 0; id < tokens.vocabSize; id++) {
      const own = control.has(id) ? undefined : tokens.tokenBytes(id);
      if (own === undefined || own.length === 0) continue;
      this.#byFirst[own[0] ?? 0]?.push(ids.length);
      ids.push(id);
      bytes.push(own);
    }
    this.ids = ids;
    this.bytes = bytes;
  }

  beginningWith(byte: number): readonly number[] {
    return this.#byFirst[byte] ?? [];
  }
}

const known = new WeakMap<object, TextTokens>();

/** Made once a tokenizer: some 50 ms for 150,000 ids. */
export function textTokens(tokens: TokenBytes): TextTokens {
  const found = known.get(tokens) ?? new TextTokens(tokens);
  known.set(tokens, found);
  return found;
}

/** Sets the bits of ids. */
export class MaskBuilder {
  readonly words: Uint32Array;

  /** @param vocabSize of the model: ids that a mask covers */
  constructor(vocabSize: number) {
    this.words = new Uint32Array(Math.ceil(vocabSize / 32));
  }

  allow(id: number): void {
    const word = id >>> 5;
    this.words[word] = (this.words[word] ?? 0) | (1 << (id & 31));
  }
}
