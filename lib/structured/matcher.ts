/**
 * Which ids may come next in a text of a grammar. All ways through the grammar are followed at a time: a place is the set of them, each a
 * state with the machines that called it; places, and where bytes lead from them, are worked out once. Masks come of one walk over the
 * vocabulary in the order of its bytes, on which common beginnings are gone once.
 */
import type { Automaton } from './automaton.js';
import type { SortedVocabulary } from './sorted-vocabulary.js';

/** Masks that a table keeps: 19 kB each. */
const MOST_MASKS = 256;
/** Bytes that a table keeps, some: beyond them it begins anew. */
const MOST_KEPT = 128 * 2 ** 20;
/** Bytes, some, as V8 lays them out: a way with its part of the place's name, a caller with its entry, a place, a state of the grammar. */
const OF_WAY = 64;
const OF_CALLER = 128;
const OF_PLACE = 512;
const OF_STATE = 128;
/** Ways that a place may have: beyond it a grammar is ambiguous without bound. */
const MOST_WAYS = 20_000;
/**
 * What things cost in units of work, by measurement: an edge that is looked at and a comparison of the sort are one. A way that is
 * followed is looked up in sets, and written down, and named.
 */
const WORK_OF_WAY = 8;

/** Nobody's text has so many ways, or takes so much work. */
export class TooManyWays extends Error {}

/** Where a machine goes on when it has ended: the state, and whoever called that one. */
interface Caller {
  readonly number: number;
  readonly back: number;
  readonly caller: Caller | undefined;
}

interface Way {
  readonly state: number;
  readonly caller: Caller | undefined;
}

export interface Place {
  readonly ways: readonly Way[];
  readonly mayEnd: boolean;
  /** By class of byte; null: it may not come; undefined: not known yet. */
  readonly next: (Place | null | undefined)[];
  mask: Uint32Array | undefined;
}

/** A grammar with what has been worked out of it, for all who match. */
export class PlaceTable {
  readonly #automaton: Automaton;
  readonly #vocabulary: SortedVocabulary;
  readonly #words: number;
  readonly #places = new Map<string, Place>();
  readonly #callers = new Map<number, Caller>();
  /** Of all there ever were: numbers stay a caller's own when the table has forgotten it. */
  #callerCount = 0;
  #masks = 0;
  #kept = 0;
  #work = Infinity;

  /** @param vocabSize of the model: ids that a mask covers */
  constructor(automaton: Automaton, vocabulary: SortedVocabulary, vocabSize: number) {
    this.#automaton = automaton;
    this.#vocabulary = vocabulary;
    this.#words = Math.ceil(vocabSize / 32);
  }

  /**
   * From here on so much work may be done: edges looked at, ways followed, comparisons to sort them. Counted and not timed: a busy
   * machine takes what a quiet one takes.
   */
  allow(work: number): void {
    this.#work = work;
  }

  /** Of what was allowed. */
  get left(): number {
    return this.#work;
  }

  /** Bytes that it takes, some: the grammar's own, and what has been worked out. */
  get size(): number {
    return this.#automaton.edges.length * OF_STATE + this.#kept;
  }

  /** Frees what has been worked out. Whoever stands at a place stands there still, and goes on. */
  forget(): void {
    for (const place of this.#places.values()) {
      place.next.length = 0;
      place.mask = undefined;
    }
    this.#places.clear();
    this.#callers.clear();
    this.#masks = 0;
    this.#kept = 0;
  }

  /** @throws TooManyWays */
  start(): Place {
    return this.#place([{ state: this.#automaton.start, caller: undefined }]);
  }

  /** @throws TooManyWays */
  after(place: Place, byte: number): Place | null {
    const kind = this.#automaton.classes[byte] ?? 0;
    const known = place.next[kind];
    if (known !== undefined) return known;
    const ways: Way[] = [];
    for (const { state, caller } of place.ways) {
      const edges = this.#automaton.edges[state] ?? [];
      this.#spend(1 + edges.length / 3);
      for (let i = 0; i < edges.length; i += 3) {
        const isMet = byte >= (edges[i] ?? 0) && byte <= (edges[i + 1] ?? -1);
        if (isMet) ways.push({ state: edges[i + 2] ?? 0, caller });
      }
    }
    return (place.next[kind] = ways.length === 0 ? null : this.#place(ways));
  }

  /** Text ids that may come at a place. Not to be written to. */
  mask(place: Place): Uint32Array {
    if (place.mask !== undefined) return place.mask;
    const words = new Uint32Array(this.#words);
    const { ids, bytes, offsets, shared, longest } = this.#vocabulary;
    const path = new Array<Place>(longest + 1).fill(place);
    /** Bytes of the id before that could come: places of the path behind its first. */
    let gone = 0;
    for (let i = 0; i < ids.length; i++) {
      const same = shared[i] ?? 0;
      if (same > gone) continue;
      const begin = offsets[i] ?? 0;
      const length = (offsets[i + 1] ?? 0) - begin;
      for (gone = same; gone < length; gone++) {
        const next = this.after(path[gone] ?? place, bytes[begin + gone] ?? 0);
        if (next === null) break;
        path[gone + 1] = next;
      }
      if (gone < length) continue;
      const id = ids[i] ?? 0;
      words[id >>> 5] = (words[id >>> 5] ?? 0) | (1 << (id & 31));
    }
    if (++this.#masks > MOST_MASKS) this.#forgetMasks();
    place.mask = words;
    this.#kept += words.byteLength;
    return words;
  }

  #spend(work: number): void {
    this.#work -= work;
    if (this.#work < 0) throw new TooManyWays();
  }

  #caller(back: number, caller: Caller | undefined): Caller {
    const { length } = this.#automaton.edges;
    const key = back + length * ((caller?.number ?? -1) + 1);
    const known = this.#callers.get(key);
    if (known !== undefined) return known;
    const made: Caller = { number: this.#callerCount++, back, caller };
    this.#callers.set(key, made);
    this.#kept += OF_CALLER;
    return made;
  }

  /** With all states that these are also in. */
  #place(from: readonly Way[]): Place {
    const { edges, also, calls, ends } = this.#automaton;
    const seen = new Set<number>();
    const kept: number[] = [];
    const ways: Way[] = [];
    let mayEnd = false;
    const open = [...from];
    for (let way = open.pop(); way !== undefined; way = open.pop()) {
      const { state, caller } = way;
      this.#spend(WORK_OF_WAY);
      const key = state + edges.length * ((caller?.number ?? -1) + 1);
      if (seen.has(key)) continue;
      seen.add(key);
      if (seen.size > MOST_WAYS) throw new TooManyWays();
      if ((edges[state]?.length ?? 0) > 0) {
        ways.push(way);
        kept.push(key);
      }
      for (const next of also[state] ?? []) open.push({ state: next, caller });
      const called = calls[state] ?? [];
      for (let i = 0; i < called.length; i += 2) {
        open.push({ state: called[i] ?? 0, caller: this.#caller(called[i + 1] ?? 0, caller) });
      }
      if (!ends.has(state)) continue;
      if (caller === undefined) mayEnd = true;
      else open.push({ state: caller.back, caller: caller.caller });
    }
    this.#spend(kept.length * Math.ceil(Math.log2(kept.length + 1)));
    const name = `${mayEnd ? '.' : ''}${kept.sort((a, b) => a - b).join(' ')}`;
    const known = this.#places.get(name);
    if (known !== undefined) return known;
    if (this.#kept > MOST_KEPT) this.forget();
    const place: Place = { ways, mayEnd, next: [], mask: undefined };
    this.#places.set(name, place);
    this.#kept += OF_PLACE + ways.length * OF_WAY;
    return place;
  }

  #forgetMasks(): void {
    for (const place of this.#places.values()) place.mask = undefined;
    this.#kept -= (this.#masks - 1) * this.#words * 4;
    this.#masks = 1;
  }
}

/** One text under way. */
export class Matcher {
  readonly #table: PlaceTable;
  #place: Place;

  /** @throws TooManyWays */
  constructor(table: PlaceTable) {
    this.#table = table;
    this.#place = table.start();
  }

  /** Whether the text may be all. */
  get mayEnd(): boolean {
    return this.#place.mayEnd;
  }

  /** @returns whether the bytes may come; if not, nothing is taken. @throws TooManyWays */
  take(bytes: Uint8Array): boolean {
    let place: Place | null = this.#place;
    for (const byte of bytes) {
      place = this.#table.after(place, byte);
      if (place === null) return false;
    }
    this.#place = place;
    return true;
  }

  /** Text ids that may come next. Not to be written to. @throws TooManyWays */
  mask(): Uint32Array {
    return this.#table.mask(this.#place);
  }
}
