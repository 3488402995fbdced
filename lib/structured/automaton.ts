/** A grammar as states between bytes: a machine a rule, which calls those of other rules. */
import { type Expression, type Grammar } from './expression.js';
import { type ByteRange, utf8Ranges } from './utf8.js';

/** Repetitions are written out; more of them than that are nobody's. */
const MOST_STATES = 200_000;

/** The grammar is larger than anybody's schema. */
export class GrammarTooLarge extends Error {}

export interface Automaton {
  /** Of each state: bytes `least..most` lead to `to`, three numbers each. */
  readonly edges: readonly (readonly number[])[];
  /** States that it is also in. */
  readonly also: readonly (readonly number[])[];
  /** Machines that it starts, and where it is when they have ended, two numbers each. */
  readonly calls: readonly (readonly number[])[];
  readonly ends: ReadonlySet<number>;
  /** `[256]`: bytes of one number lead everywhere to the same. */
  readonly classes: Uint8Array;
  readonly start: number;
}

class Builder {
  readonly edges: number[][] = [];
  readonly also: number[][] = [];
  readonly calls: number[][] = [];
  readonly ends = new Set<number>();
  readonly #starts = new Map<string, number>();
  readonly #open: string[] = [];
  readonly #grammar: Grammar;

  constructor(grammar: Grammar) {
    this.#grammar = grammar;
  }

  build(): Automaton {
    const start = this.#machine(this.#grammar.root);
    for (let name = this.#open.pop(); name !== undefined; name = this.#open.pop()) {
      const body = this.#grammar.rules[name];
      const begin = this.#starts.get(name);
      if (body === undefined || begin === undefined) throw new RangeError('a rule that is none');
      this.also[begin]?.push(this.#machine(body));
    }
    const { edges, also, calls, ends } = this;
    return { edges, also, calls, ends, classes: this.#classes(), start };
  }

  #classes(): Uint8Array {
    const begins = new Uint8Array(257);
    for (const edges of this.edges) {
      for (let i = 0; i < edges.length; i += 3) {
        begins[edges[i] ?? 0] = 1;
        begins[(edges[i + 1] ?? 0) + 1] = 1;
      }
    }
    let count = 0;
    return Uint8Array.from(
      { length: 256 },
      (_, byte) => (count += byte > 0 ? (begins[byte] ?? 0) : 0),
    );
  }

  #state(): number {
    if (this.edges.length >= MOST_STATES) throw new GrammarTooLarge();
    this.edges.push([]);
    this.also.push([]);
    this.calls.push([]);
    return this.edges.length - 1;
  }

  #machine(body: Expression): number {
    const start = this.#state();
    this.ends.add(this.#after(start, body));
    return start;
  }

  #edge(from: number, least: number, most: number, to = this.#state()): number {
    this.edges[from]?.push(least, most, to);
    return to;
  }

  /** @returns the state behind such a text */
  #after(from: number, expression: Expression): number {
    if ('text' in expression) {
      let at = from;
      for (const byte of Buffer.from(expression.text)) at = this.#edge(at, byte, byte);
      return at;
    }
    if ('set' in expression) {
      return this.#character(from, utf8Ranges(expression.set));
    }
    if ('all' in expression) {
      return expression.all.reduce((at, part) => this.#after(at, part), from);
    }
    if ('any' in expression) {
      const to = this.#state();
      // A state of its own for each: what comes back to it must not begin another.
      for (const way of expression.any) {
        const begin = this.#state();
        this.also[from]?.push(begin);
        this.also[this.#after(begin, way)]?.push(to);
      }
      return to;
    }
    if ('rule' in expression) {
      const to = this.#state();
      this.calls[from]?.push(this.#startOf(expression.rule), to);
      return to;
    }
    return this.#repeated(from, expression.of, expression.least, expression.most);
  }

  /** What may follow in the same way is one state: most characters end alike. */
  #character(from: number, sequences: readonly (readonly ByteRange[])[]): number {
    const to = this.#state();
    const before = new Map([['', to]]);
    const stateBefore = (rest: readonly ByteRange[]): number => {
      const name = rest.join(' ');
      const known = before.get(name);
      if (known !== undefined) return known;
      const state = this.#state();
      before.set(name, state);
      this.#begin(state, rest, stateBefore);
      return state;
    };
    for (const ranges of sequences) this.#begin(from, ranges, stateBefore);
    return to;
  }

  #begin(
    state: number,
    [first, ...rest]: readonly ByteRange[],
    stateBefore: (rest: readonly ByteRange[]) => number,
  ): void {
    if (first !== undefined) this.#edge(state, first[0], first[1], stateBefore(rest));
  }

  #repeated(from: number, of: Expression, least: number, most: number | null): number {
    let at = from;
    for (let i = 0; i < least; i++) at = this.#after(at, of);
    const to = this.#state();
    if (most === null) {
      const loop = this.#state();
      this.also[at]?.push(loop);
      this.also[loop]?.push(to);
      this.also[this.#after(loop, of)]?.push(loop);
      return to;
    }
    this.also[at]?.push(to);
    for (let i = least; i < most; i++) {
      at = this.#after(at, of);
      this.also[at]?.push(to);
    }
    return to;
  }

  #startOf(name: string): number {
    const known = this.#starts.get(name);
    if (known !== undefined) return known;
    const start = this.#state();
    this.#starts.set(name, start);
    this.#open.push(name);
    return start;
  }
}

/** @throws GrammarTooLarge */
export function automatonOf(grammar: Grammar): Automaton {
  return new Builder(grammar).build();
}
