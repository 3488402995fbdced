/** What is wrong with a schema, each by its place, all told at once. */
import type { SchemaNode } from './node.js';

/** `invalid`: no schema; `unsupported`: one that is not held to here; `complex`: beyond a bound. */
export interface SchemaProblem {
  readonly kind: 'invalid' | 'unsupported' | 'complex';
  /** JSON pointer to the keyword, `#/properties/age/multipleOf`. */
  readonly pointer: string;
  readonly message: string;
}

export type Schema = Readonly<Record<string, unknown>>;

export const isObject = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
/** The next part of a JSON pointer. */
export const step = (name: string | number): string =>
  `/${String(name).replaceAll('~', '~0').replaceAll('/', '~1')}`;

export class SchemaProblems {
  readonly list: SchemaProblem[] = [];
  /** A bound was passed: nothing more is read. */
  isBeyond = false;

  /** @returns no node */
  wrong(kind: SchemaProblem['kind'], pointer: string, expected: string): SchemaNode | undefined {
    this.list.push({ kind, pointer, message: `${pointer}: expected ${expected}` });
    if (kind === 'complex') this.isBeyond = true;
    return undefined;
  }

  /** Keywords that are not known here. */
  refuse(given: readonly string[], known: readonly string[], pointer: string): void {
    for (const key of given) {
      if (known.includes(key)) continue;
      this.wrong(
        'unsupported',
        pointer + step(key.slice(0, 64)),
        `none of it beside ${known.join(', ')}`,
      );
    }
  }

  /** A whole number that a keyword gives. */
  count(schema: Schema, key: string, pointer: string): number | undefined {
    const value = schema[key];
    if (value === undefined || (Number.isSafeInteger(value) && Number(value) >= 0)) {
      return value as number | undefined;
    }
    this.wrong('invalid', pointer + step(key), 'a whole number');
    return undefined;
  }
}
