/**
 * The fields of one object of a quantisation's config: those that say what the weights are, and those that nobody reads, each
 * refused by its name.
 */
import type { JsonObject } from '../files/index.js';
import { expected, type Problems } from './schema.js';

export class QuantisationFields {
  readonly #object: JsonObject;
  readonly #place: string;
  readonly #problems: Problems;
  readonly #known = new Set<string>();

  constructor(object: JsonObject, place: string, problems: Problems) {
    this.#object = object;
    this.#place = place;
    this.#problems = problems;
  }

  /** Without a meaning for what the weights are. */
  ignore(...names: readonly string[]): void {
    for (const name of names) this.#known.add(name);
  }

  get(...names: readonly string[]): unknown {
    for (const name of names) this.#known.add(name);
    return names.map((name) => this.#object[name]).find((value) => value !== undefined);
  }

  /** The field must be one of these; absent or null: the first. */
  oneOf<T>(names: readonly string[], ...choices: readonly [T, ...T[]]): T {
    const value = this.get(...names) ?? choices[0];
    const found = choices.find((choice) => choice === value);
    if (found === undefined) {
      this.fail(
        names[0] ?? '',
        choices.map((choice) => JSON.stringify(choice)).join(' or '),
        value,
      );
    }
    return found ?? choices[0];
  }

  /** Nothing that would change anything: absent, null, or an empty object or list. */
  nothing(...names: readonly string[]): void {
    for (const name of names) {
      const value = this.get(name) ?? {};
      const isEmpty = typeof value === 'object' && Object.keys(value).length === 0;
      if (!isEmpty) this.fail(name, 'nothing', value);
    }
  }

  /** Columns that share a scale; 0: a row. */
  group(...names: readonly string[]): number {
    const value = this.get(...names);
    if (value === -1 || value === undefined || value === null) return 0;
    if (Number.isSafeInteger(value) && Number(value) >= 8 && Number(value) % 8 === 0) {
      return Number(value);
    }
    this.fail(names[0] ?? '', 'a multiple of 8, or -1', value);
    return 0;
  }

  fail(name: string, wanted: string, value: unknown): void {
    this.#problems.push(`${this.#place}.${name}: ${expected(wanted, value)}`);
  }

  finish(): void {
    for (const name of Object.keys(this.#object)) {
      if (!this.#known.has(name)) {
        this.#problems.push(
          `${this.#place}.${name}: is not understood; the weights might mean something else`,
        );
      }
    }
  }
}
