/** Fields of a request's body: read one by one, all that is wrong with them kept, values never repeated. */
import { didYouMean } from '../options/describe.js';
import { ApiError } from './api-error.js';

export type Body = Readonly<Record<string, unknown>>;

export interface Problem {
  readonly status?: number;
  readonly code: string;
  readonly param: string;
  readonly message: string;
}

export class Problems {
  readonly #all: Problem[] = [];

  add(problem: Problem): void {
    this.#all.push(problem);
  }

  /** A field that holds something else than it may. */
  wrong(param: string, expected: string): void {
    this.add({ code: 'invalid_value', param, message: `${param}: expected ${expected}` });
  }

  /** A field that would change the answer and is not done. */
  unsupported(param: string, why = 'is not supported by this server'): void {
    this.add({ code: 'unsupported_parameter', param, message: `${param} ${why}` });
  }

  /** @throws ApiError of the first problem's kind, naming all of them */
  throwIfAny(): void {
    const [first] = this.#all;
    if (first === undefined) return;
    const { status = 400, code, param } = first;
    throw new ApiError(status, code, this.#all.map(({ message }) => message).join('; '), { param });
  }
}

export function isObject(value: unknown): value is Body {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Says "not asked for": null, false, 0, nothing in it, or a word for it. */
export function isOff(value: unknown): boolean {
  if (value === null || value === undefined || value === false || value === 0) return true;
  if (value === 'none' || value === 'text') return true;
  if (Array.isArray(value)) return value.length === 0;
  return isObject(value) && Object.keys(value).length === 0;
}

/** A body may hold a million unknown names. */
const MOST_NAMED = 20;

/** Reads the fields of one object; absent and null are the same. */
export class Fields {
  readonly problems: Problems;
  readonly #body: Body;
  readonly #prefix: string;

  constructor(body: Body, problems: Problems, prefix = '') {
    this.#body = body;
    this.problems = problems;
    this.#prefix = prefix;
  }

  param(name: string): string {
    return `${this.#prefix}${name}`;
  }

  raw(name: string): unknown {
    return Object.hasOwn(this.#body, name) ? (this.#body[name] ?? undefined) : undefined;
  }

  flag(name: string): boolean | undefined {
    return this.#read(name, 'true or false', (value) => typeof value === 'boolean');
  }

  number(name: string, least: number, most: number): number | undefined {
    return this.#read(
      name,
      `a number of ${least}..${most}`,
      (value) => typeof value === 'number' && value >= least && value <= most,
    );
  }

  whole(name: string, least: number, most: number): number | undefined {
    return this.#read(
      name,
      `a whole number of ${least}..${most}`,
      (value) => Number.isSafeInteger(value) && Number(value) >= least && Number(value) <= most,
    );
  }

  text(name: string, most: number, least = 0): string | undefined {
    return this.#read(
      name,
      `a text of ${least}..${most} characters`,
      (value) => typeof value === 'string' && value.length >= least && value.length <= most,
    );
  }

  word<const W extends string>(name: string, ...words: readonly W[]): W | undefined {
    return this.#read(name, words.join(' or '), (value) => words.includes(value as W));
  }

  list(name: string, least: number, most: number): readonly unknown[] | undefined {
    return this.#read(
      name,
      `a list of ${least}..${most}`,
      (value) => Array.isArray(value) && value.length >= least && value.length <= most,
    );
  }

  /** Texts, or one of them alone. */
  texts(name: string, most: number, longest: number): readonly string[] | undefined {
    const isText = (value: unknown): boolean =>
      typeof value === 'string' && value.length > 0 && value.length <= longest;
    const value = this.#read<string | readonly string[]>(
      name,
      `a text or up to ${most} texts of 1..${longest} characters`,
      (given) =>
        isText(given) || (Array.isArray(given) && given.length <= most && given.every(isText)),
    );
    return typeof value === 'string' ? [value] : value;
  }

  object(name: string, known: readonly string[]): Fields | undefined {
    const value = this.#read<Body>(name, 'an object', isObject);
    if (value === undefined) return undefined;
    const inner = new Fields(value, this.problems, `${this.param(name)}.`);
    inner.refuseOthers(known);
    return inner;
  }

  /** Names of the object that are none of `known`, the first of them. */
  others(known: readonly string[]): string[] {
    return Object.keys(this.#body)
      .filter((name) => !known.includes(name))
      .slice(0, MOST_NAMED);
  }

  refuseOthers(known: readonly string[]): void {
    for (const name of this.others(known)) {
      const param = this.param(name.slice(0, 64));
      const message = `${param}: there is no such field; ${didYouMean(name, known)}`;
      this.problems.add({ code: 'unknown_parameter', param, message });
    }
  }

  // eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- what `isMet` holds it to
  #read<T>(name: string, expected: string, isMet: (value: unknown) => boolean): T | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    if (isMet(value)) return value as T;
    this.problems.wrong(this.param(name), expected);
    return undefined;
  }
}
