/**
 * What the thread of the grammars answers: masks, within what one request may take of the thread's time, and all of its memory.
 * Who keeps most gives way first: no client throws out what others keep by sending new schemas.
 */
import {
  automatonOf,
  Matcher,
  PlaceTable,
  SortedVocabulary,
  TooManyWays,
} from '../../structured/index.js';
import type { GrammarRequest, GrammarSetup, OfGrammar } from './messages.js';

/** Grammars whose places are kept. */
const MOST_GRAMMARS = 64;
/** Bytes, some, that all tables keep together. */
const MOST_KEPT = 256 * 2 ** 20;
/**
 * For one request: of the worst patterns found, 1.4 to 2.1 s of a core (2.7 where others have its caches), 14 to 21 ns a unit; what
 * people ask takes a hundredth.
 */
const MOST_WORK = 100_000_000;
/** A token gives back such a part of it: some 40 ms. */
const TOKENS = 50;

interface Kept {
  readonly table: PlaceTable;
  /** Those who have asked for it and have not had to give it up. */
  readonly clients: Set<string>;
}

interface Open {
  readonly matcher: Matcher;
  readonly key: string;
  readonly table: PlaceTable;
  /** Work that it may ask for still. */
  left: number;
}

export interface GrammarBounds {
  /** Of one request, in the units of `PlaceTable.allow`. */
  readonly mostWork: number;
  /** That each token gives back to its matcher: an answer of many tokens holds nobody up for long at each of them. */
  readonly tokenWork: number;
  readonly mostKept: number;
}

export class GrammarServer {
  readonly #vocabulary: SortedVocabulary;
  readonly #bytes: readonly Uint8Array[];
  readonly #eosIds: readonly number[];
  readonly #bounds: GrammarBounds;
  /** Least recently used first. */
  readonly #tables = new Map<string, Kept>();
  readonly #open = new Map<number, Open>();

  constructor({ bytes, offsets, eosIds }: GrammarSetup, bounds: Partial<GrammarBounds> = {}) {
    this.#bytes = Array.from({ length: offsets.length - 1 }, (_, id) =>
      bytes.subarray(offsets[id], offsets[id + 1]),
    );
    this.#vocabulary = new SortedVocabulary(this.#bytes);
    this.#eosIds = eosIds;
    const { mostWork = MOST_WORK, tokenWork = mostWork / TOKENS, mostKept = MOST_KEPT } = bounds;
    this.#bounds = { mostWork, tokenWork, mostKept };
  }

  /** Bytes that all tables take, some. */
  get kept(): number {
    return this.#all().reduce((sum, { size }) => sum + size, 0);
  }

  close(matcher: number): void {
    this.#open.delete(matcher);
  }

  /** @throws GrammarTooLarge, TooManyWays: nothing is kept of such a grammar. RangeError: what came is none of it */
  answer(asked: GrammarRequest): Uint32Array {
    try {
      return asked.kind === 'next' ? this.#next(asked) : this.#begin(asked);
    } finally {
      this.#trim();
    }
  }

  #begin(asked: Exclude<GrammarRequest, { kind: 'next' }>): Uint32Array {
    const key = JSON.stringify(asked.grammar);
    const table = this.#table(key, asked);
    return this.#within(key, table, this.#bounds.mostWork, () => {
      const matcher = new Matcher(table);
      if (asked.kind === 'check') return this.#mask(matcher);
      if (asked.kind === 'match') {
        return Uint32Array.of(Number(matcher.take(Buffer.from(asked.text)) && matcher.mayEnd));
      }
      take(matcher, Buffer.from(asked.begun));
      for (const id of asked.ids) take(matcher, this.#bytes[id]);
      const words = this.#mask(matcher);
      this.#open.set(asked.matcher, { matcher, key, table, left: table.left });
      return words;
    });
  }

  #next({ matcher, id }: Extract<GrammarRequest, { kind: 'next' }>): Uint32Array {
    const open = this.#open.get(matcher);
    if (open === undefined) throw new RangeError('there is no such matcher');
    const { mostWork, tokenWork } = this.#bounds;
    const work = Math.min(mostWork, open.left + tokenWork);
    try {
      return this.#within(open.key, open.table, work, () => {
        take(open.matcher, this.#bytes[id]);
        return this.#mask(open.matcher);
      });
    } catch (error) {
      if (error instanceof TooManyWays) this.#open.delete(matcher);
      throw error;
    } finally {
      open.left = open.table.left;
    }
  }

  #within(key: string, table: PlaceTable, work: number, answer: () => Uint32Array): Uint32Array {
    table.allow(work);
    try {
      return answer();
    } catch (error) {
      if (error instanceof TooManyWays) {
        table.forget();
        if (this.#tables.get(key)?.table === table) this.#tables.delete(key);
      }
      throw error;
    }
  }

  /** A copy, with what ends the answer where it may end. */
  #mask(matcher: Matcher): Uint32Array {
    const words = matcher.mask().slice();
    if (matcher.mayEnd) {
      for (const id of this.#eosIds) words[id >>> 5] = (words[id >>> 5] ?? 0) | (1 << (id & 31));
    }
    if (words.every((word) => word === 0)) throw new RangeError('no token may come');
    return words;
  }

  #table(key: string, { grammar, client = '' }: OfGrammar): PlaceTable {
    const one = this.#tables.get(key) ?? {
      table: new PlaceTable(automatonOf(grammar), this.#vocabulary, this.#bytes.length),
      clients: new Set(),
    };
    one.clients.add(client);
    this.#tables.delete(key);
    this.#tables.set(key, one);
    return one.table;
  }

  /** Those that nobody but an answer under way holds, too. */
  #all(): PlaceTable[] {
    const open = Array.from(this.#open.values(), ({ table }) => table);
    const kept = Array.from(this.#tables.values(), ({ table }) => table);
    return [...new Set([...kept, ...open])];
  }

  /** Answers under way go on at their places. */
  #trim(): void {
    // First what is nobody's any more: its places are computed again by the answer that goes on with it.
    if (this.kept > this.#bounds.mostKept) {
      const owned = new Set(Array.from(this.#tables.values(), ({ table }) => table));
      for (const table of this.#all()) if (!owned.has(table)) table.forget();
    }
    let kept = this.kept;
    while (this.#tables.size > MOST_GRAMMARS || kept > this.#bounds.mostKept) {
      const [key, one] = this.#leastOf(this.#largest()) ?? [];
      if (key === undefined || one === undefined) break;
      if (one.clients.size > 0) continue;
      this.#tables.delete(key);
      kept -= one.table.size;
      one.table.forget();
    }
    // Of these alone the memory is too little.
    if (kept > this.#bounds.mostKept) for (const table of this.#all()) table.forget();
  }

  /** Who keeps most, in places and bytes together; of several the one that has used it least recently. */
  #largest(): string {
    const shares = new Map<string, number>();
    for (const { table, clients } of this.#tables.values()) {
      const share = 1 / MOST_GRAMMARS + table.size / this.#bounds.mostKept;
      for (const client of clients) shares.set(client, (shares.get(client) ?? 0) + share);
    }
    const most = Math.max(...shares.values());
    return [...shares].find(([, share]) => share === most)?.[0] ?? '';
  }

  /** What a client has used least recently is no longer its own; undefined: it has nothing. */
  #leastOf(client: string): readonly [key: string, one: Kept] | undefined {
    for (const entry of this.#tables) if (entry[1].clients.delete(client)) return entry;
    return undefined;
  }
}

function take(matcher: Matcher, bytes: Uint8Array | undefined): void {
  if (bytes === undefined || !matcher.take(bytes)) {
    throw new RangeError('what has come is none of the grammar');
  }
}
