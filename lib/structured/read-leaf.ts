/** Schemas of values that hold no others: lists of values, numbers, texts. */
import { FORMATS, isSaidBy } from './formats.js';
import type { GrammarSet } from './grammar-set.js';
import type { Json, SchemaNode } from './node.js';
import { MOST_INTEGERS, numberRange } from './number-range.js';
import { type PatternResult, readPattern } from './pattern.js';
import { isObject, type Schema, type SchemaProblems, step } from './schema-problems.js';

const MOST_VALUES = 1000;
/** zod writes these for "any whole number". */
const UNBOUNDED = 2 ** 53 - 1;

/** Whether a value is of a type that a schema names. */
function isOf(type: unknown, value: Json): boolean {
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return isObject(value);
  return type === (value === null ? 'null' : typeof value);
}

/** Compact, in the order given, fewest escapes: the one way in which an answer writes it. */
const textOf = (value: Json): string => JSON.stringify(value).normalize('NFC');

export class LeafReader {
  readonly #problems: SchemaProblems;
  readonly #grammars: GrammarSet;
  readonly #patterns = new Map<unknown, PatternResult>();
  #values = 0;

  constructor(problems: SchemaProblems, grammars: GrammarSet) {
    this.#problems = problems;
    this.#grammars = grammars;
  }

  /** Values of a list, held against the type beside it: those of another could never come. */
  listed(values: readonly Json[], { type }: Schema, pointer: string): SchemaNode | undefined {
    const types: unknown[] = [type ?? []].flat();
    const wrong = values.filter(
      (value) => types.length > 0 && !types.some((one) => isOf(one, value)),
    );
    if (wrong.length === 0) return this.values(values, pointer);
    return this.#problems.wrong(
      'invalid',
      pointer,
      `values of the type beside it, ${types.join(' or ')}`,
    );
  }

  values(values: readonly Json[], pointer: string): SchemaNode | undefined {
    this.#values += values.length;
    if (this.#values > MOST_VALUES + MOST_INTEGERS || values.length > MOST_VALUES) {
      return this.#problems.wrong('complex', pointer, `at most ${MOST_VALUES} values`);
    }
    const texts = new Map<string, Json>();
    for (const value of values) {
      const text = textOf(value);
      if (/^-?[\d.]+e/.test(text))
        this.#problems.wrong('unsupported', pointer, 'numbers without exponent');
      if (!texts.has(text)) texts.set(text, value);
    }
    return { kind: 'values', values: Array.from(texts, ([text, value]) => ({ text, value })) };
  }

  number(isInteger: boolean, schema: Schema, pointer: string): SchemaNode | undefined {
    const bound = (key: string): number | undefined => {
      const value = schema[key];
      if (value === undefined || Math.abs(Number(value)) >= UNBOUNDED) return undefined;
      if (typeof value === 'number') return value;
      this.#problems.wrong('invalid', pointer + step(key), 'a number');
      return undefined;
    };
    const [least, above] = [bound('minimum') ?? -Infinity, bound('exclusiveMinimum') ?? -Infinity];
    const [most, below] = [bound('maximum') ?? Infinity, bound('exclusiveMaximum') ?? Infinity];
    const range = numberRange(isInteger, { least, above, most, below });
    if (range === undefined) {
      return this.#problems.wrong(
        'invalid',
        pointer + step('minimum'),
        'a number between the bounds',
      );
    }
    return 'kind' in range ? range : this.values(range, pointer);
  }

  string(schema: Schema, pointer: string): SchemaNode | undefined {
    const { pattern, format } = schema;
    if (pattern !== undefined || format !== undefined) return this.#text(schema, pointer);
    const minLength = this.#problems.count(schema, 'minLength', pointer) ?? 0;
    const maxLength = this.#problems.count(schema, 'maxLength', pointer) ?? Infinity;
    if (minLength > maxLength)
      return this.#problems.wrong('invalid', pointer + step('minLength'), 'at most maxLength');
    return { kind: 'string', minLength, maxLength };
  }

  #text(schema: Schema, pointer: string): SchemaNode | undefined {
    const { pattern, format } = schema;
    // Beside a pattern, which is held to, a format says the same in other words: zod writes both.
    const isFormat = pattern === undefined;
    const key = isFormat ? 'format' : 'pattern';
    for (const other of ['minLength', 'maxLength']) {
      if (schema[other] === undefined) continue;
      this.#problems.wrong(
        'unsupported',
        pointer + step(other),
        `none of it beside ${key}, which says it`,
      );
    }
    if (isFormat) {
      const isNamed = typeof format === 'string' && Object.hasOwn(FORMATS, format);
      const expression = isNamed ? FORMATS[format] : undefined;
      if (expression !== undefined) {
        return this.#grammars.text(expression, pointer);
      }
      const what = `one of ${Object.keys(FORMATS).join(', ')}`;
      return this.#problems.wrong('unsupported', pointer + step('format'), what);
    }
    const read = this.#patterns.get(pattern) ?? readPattern(pattern, true);
    this.#patterns.set(pattern, read);
    if ('kind' in read)
      return this.#problems.wrong(read.kind, pointer + step('pattern'), read.expected);
    if (format !== undefined && !isSaidBy(format, pattern as string)) {
      const what = 'none beside a pattern that does not say it: only the pattern is held to';
      return this.#problems.wrong('unsupported', pointer + step('format'), what);
    }
    return this.#grammars.text(read.expression, pointer);
  }
}
