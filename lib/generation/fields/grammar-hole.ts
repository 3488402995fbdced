/** A free place whose text a grammar holds to: which ids may come is asked of the grammar's thread, what has come is read here. */
import {
  type FreeHole,
  type GrammarNode,
  type HoleContext,
  withFollowing,
} from '../../structured/index.js';
import type { GrammarMatcher } from '../grammar/grammar-matcher.js';
import type { GrammarThread } from '../grammar/grammar-thread.js';
import type { GrammarAsker } from '../grammar/grammar-turns.js';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPENING = [0x5b, 0x7b];
const CLOSING = [0x5d, 0x7d];

/** A mark at its beginning is text like other text; half a character at its end is none yet. */
const textOf = (bytes: readonly number[]): string =>
  new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes), { stream: true });

/** Where a JSON value ends. */
class ValueEnd {
  #depth = 0;
  #isText = false;
  #isEscape = false;
  /** Neither text nor brackets: known by what comes next. */
  #isBare = false;

  /** @returns whether the value ends before the byte, or with it */
  take(byte: number): 'before' | 'with' | undefined {
    if (this.#isText) {
      if (this.#isEscape) this.#isEscape = false;
      else if (byte === BACKSLASH) this.#isEscape = true;
      else if (byte === QUOTE) {
        this.#isText = false;
        return this.#depth === 0 ? 'with' : undefined;
      }
    } else if (byte === QUOTE) this.#isText = true;
    else if (OPENING.includes(byte)) this.#depth++;
    else if (CLOSING.includes(byte)) {
      if (this.#depth === 0) return 'before';
      return --this.#depth === 0 ? 'with' : undefined;
    } else if (this.#depth === 0) {
      if (this.#isBare && !/[-+.\w]/.test(String.fromCharCode(byte))) return 'before';
      this.#isBare = true;
    }
    return undefined;
  }
}

export class GrammarHole implements FreeHole {
  readonly #matcher: GrammarMatcher;
  readonly #eosIds: readonly number[];
  readonly #bytes: number[] = [];
  /** Undefined: a text that stands alone, which nothing but the answer's end ends. */
  readonly #end: ValueEnd | undefined;
  #last: number | undefined;
  isClosed = false;

  /** Behind the node's lead. */
  constructor(
    { grammar, lead, of }: GrammarNode,
    { after }: Pick<HoleContext, 'after'>,
    thread: GrammarThread,
    eosIds: readonly number[],
    asker: GrammarAsker = {},
  ) {
    this.#matcher = thread.open(withFollowing(grammar, after), lead, asker);
    this.#eosIds = eosIds;
    this.#end = of.kind === 'text' && of.isPlain ? undefined : new ValueEnd();
    for (const byte of Buffer.from(lead)) this.#end?.take(byte);
  }

  get text(): string {
    return textOf(this.#bytes);
  }

  mask(): Promise<Uint32Array> {
    return this.#matcher.mask(this.#last);
  }

  take(bytes: Uint8Array, id: number): void {
    this.#last = id;
    if (this.#eosIds.includes(id)) {
      this.isClosed = true;
      return;
    }
    for (const byte of bytes) {
      const end = this.#end?.take(byte);
      if (end !== 'before') this.#bytes.push(byte);
      if (end === undefined) continue;
      this.isClosed = true;
      return;
    }
  }

  close(): void {
    this.#matcher.close();
  }
}
