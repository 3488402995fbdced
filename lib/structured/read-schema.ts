/**
 * A JSON schema to what an answer is written by. Whatever would not be held to is refused by name, all of it at once: nothing is
 * left out silently.
 */
import { type Expression, type Grammar, NOTHING, partsOf } from './expression.js';
import { FORMATS, isSaidBy } from './formats.js';
import { grammarOf } from './grammar-rules.js';
import { stepsPast } from './look-ahead.js';
import {
  areAlike,
  type ArrayNode,
  commonStart,
  type GrammarNode,
  itemWays,
  type Json,
  leads,
  type SchemaNode,
} from './node.js';
import { MOST_INTEGERS, numberRange } from './number-range.js';
import { type PatternResult, readPattern } from './pattern.js';
import { endless } from './recursion.js';
import { areApart, haveValuesInCommon, unionOf } from './union.js';

/** `invalid`: no schema; `unsupported`: one that is not held to here; `complex`: beyond a bound. */
export interface SchemaProblem {
  readonly kind: 'invalid' | 'unsupported' | 'complex';
  /** JSON pointer to the keyword, `#/properties/age/multipleOf`. */
  readonly pointer: string;
  readonly message: string;
}

export type SchemaResult =
  | { readonly node: SchemaNode; readonly problems?: undefined }
  | { readonly node?: undefined; readonly problems: readonly SchemaProblem[] };

type Schema = Readonly<Record<string, unknown>>;

const MOST_BYTES = 64 * 1024;
const MOST_DEPTH = 16;
const MOST_PROPERTIES = 256;
const MOST_VALUES = 1000;
const MOST_BRANCHES = 32;
/** Longer lists are written under a grammar, and longer ones than that not at all. */
const MOST_ITEMS = 64;
const MOST_LISTED = 1000;
/** Lists that take more to be looked past are written under a grammar, too. */
const MOST_STEPS = 4096;
/** Schemas read, each as often as references lead to it. */
const MOST_READ = 4000;
/** Grammars of a schema, which take some 50 ms each. */
const MOST_GRAMMARS = 16;
/** Of all grammars together: what a thread is sent, and compiles, before it can say that it is too much. */
const MOST_PARTS = 300_000;
/** zod writes these for "any whole number". */
const UNBOUNDED = 2 ** 53 - 1;

/** Say something for people, or nothing that an answer could break. */
const IGNORED = [
  ...['title', 'description', 'default', 'examples', '$schema', '$id', '$comment'],
  ...['deprecated', 'readOnly', 'writeOnly', '$defs', 'definitions'],
];
const OF_TYPE: Readonly<Record<string, readonly string[]>> = {
  object: ['properties', 'required', 'additionalProperties'],
  array: ['items', 'prefixItems', 'minItems', 'maxItems'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  integer: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  boolean: [],
  null: [],
};

const isObject = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const step = (name: string | number): string =>
  `/${String(name).replaceAll('~', '~0').replaceAll('/', '~1')}`;

/** Whether a value is of a type that a schema names. */
function isOf(type: unknown, value: Json): boolean {
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return isObject(value);
  return type === (value === null ? 'null' : typeof value);
}

/** By a loop: what recurses is not given what is too deep. */
function depthOf(value: unknown): number {
  let deepest = 0;
  const open: [unknown, number][] = [[value, 1]];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const [one, depth] = next;
    deepest = Math.max(deepest, depth);
    if (deepest > 4 * MOST_DEPTH) return deepest;
    if (typeof one !== 'object' || one === null) continue;
    for (const inner of Object.values(one)) open.push([inner, depth + 1]);
  }
  return deepest;
}

/** Compact, in the order given, fewest escapes: the one way in which an answer writes it. */
const textOf = (value: Json): string => JSON.stringify(value).normalize('NFC');

export function readSchema(schema: unknown): SchemaResult {
  // Four levels of JSON a level of values: properties, name, anyOf, place.
  if (depthOf(schema) > 4 * MOST_DEPTH) {
    const message = `the schema is nested deeper than ${MOST_DEPTH} values`;
    return { problems: [{ kind: 'complex', pointer: '#', message }] };
  }
  if (Buffer.byteLength(JSON.stringify(schema) ?? '') > MOST_BYTES) {
    const message = `the schema has more than ${MOST_BYTES} bytes`;
    return { problems: [{ kind: 'complex', pointer: '#', message }] };
  }
  const reader = new Reader(schema);
  const node = reader.whole(schema);
  const [first] = reader.problems;
  return first === undefined && node !== undefined ? { node } : { problems: reader.problems };
}

const sizeOf = ({ root, rules }: Grammar): number =>
  Object.values(rules).reduce((sum, body) => sum + partsOf(body), partsOf(root));

type Writable<T> = { -readonly [K in keyof T]: T[K] };

class Reader {
  readonly problems: SchemaProblem[] = [];
  readonly #root: unknown;
  readonly #grammars: Writable<GrammarNode>[] = [];
  /** Of references that lead back to where they stand. */
  readonly #definitions = new Map<string, SchemaNode>();
  readonly #recursive = new Map<string, string>();
  /** By their patterns. */
  readonly #patterns = new Map<unknown, PatternResult>();
  /** A pattern or format is one grammar, however often it stands there. */
  readonly #texts = new Map<Expression, GrammarNode>();
  #parts = 0;
  /** A bound was passed: nothing more is read. */
  #isBeyond = false;
  #properties = 0;
  #values = 0;
  #read = 0;

  constructor(root: unknown) {
    this.#root = root;
  }

  whole(schema: unknown): SchemaNode | undefined {
    const read = this.read(schema, '#', ['#']);
    // The schema as a whole is what `#` refers to.
    const named = read && this.#named('#', read);
    // Nothing that follows a number would end it.
    const node = named?.kind === 'number' ? this.#grammar(named) : named;
    for (const name of endless(this.#definitions)) {
      this.#wrong(
        'invalid',
        this.#recursive.get(name) ?? name,
        'a reference that a value can end with',
      );
    }
    if (this.problems.length > 0) return undefined;
    this.#parts = 0;
    for (const one of this.#grammars) {
      one.grammar = grammarOf(one.of, this.#definitions);
      this.#parts += sizeOf(one.grammar);
      if (this.#parts > MOST_PARTS) return this.#tooLarge('#');
    }
    if (
      new Set(this.#grammars.map(({ grammar }) => JSON.stringify(grammar))).size > MOST_GRAMMARS
    ) {
      return this.#tooMany('#');
    }
    return node;
  }

  #tooMany(pointer: string): SchemaNode | undefined {
    const what = `at most ${MOST_GRAMMARS} kinds of patterns, lists and recursions`;
    return this.#wrong('complex', pointer, what);
  }

  #tooLarge(pointer: string): SchemaNode | undefined {
    return this.#wrong('complex', pointer, `at most ${MOST_PARTS} parts of patterns and lists`);
  }

  /** What is written token by token; its text is made when all that it refers to has been read. */
  #grammar(of: SchemaNode): GrammarNode {
    const lead = of.kind === 'array' ? '[' : commonStart(leads(of, () => ['']));
    const node: GrammarNode = { kind: 'grammar', of, grammar: { root: NOTHING, rules: {} }, lead };
    this.#grammars.push(node);
    return node;
  }

  /** @param refs that lead here: one met again is a recursion */
  read(
    schema: unknown,
    pointer: string,
    refs: readonly string[],
    depth = 1,
  ): SchemaNode | undefined {
    if (this.#isBeyond) return undefined;
    if (depth > MOST_DEPTH)
      return this.#wrong('complex', pointer, `values nested at most ${MOST_DEPTH} deep`);
    if (++this.#read > MOST_READ) {
      return this.#wrong(
        'complex',
        pointer,
        `at most ${MOST_READ} schemas, followed through references`,
      );
    }
    if (!isObject(schema)) return this.#wrong('invalid', pointer, 'a schema object');
    const given = Object.keys(schema).filter((key) => !IGNORED.includes(key));
    if ('$ref' in schema) return this.#ref(schema, given, pointer, refs, depth);
    if ('const' in schema) {
      this.#refuse(given, ['const', 'type'], pointer);
      return this.#listed([schema['const'] as Json], schema, pointer + step('const'));
    }
    if ('enum' in schema) {
      this.#refuse(given, ['enum', 'type'], pointer);
      const { enum: values } = schema;
      if (!Array.isArray(values) || values.length === 0) {
        return this.#wrong('invalid', pointer + step('enum'), 'a list of values');
      }
      return this.#listed(values as Json[], schema, pointer + step('enum'));
    }
    const either = ['anyOf', 'oneOf'].find((key) => key in schema);
    if (either !== undefined) {
      this.#refuse(given, [either], pointer);
      return this.#either(schema[either], pointer + step(either), refs, depth, either === 'oneOf');
    }
    return this.#typed(schema, given, pointer, refs, depth);
  }

  #typed(
    schema: Schema,
    given: readonly string[],
    pointer: string,
    refs: readonly string[],
    depth: number,
  ): SchemaNode | undefined {
    const implied = 'properties' in schema ? 'object' : 'items' in schema ? 'array' : undefined;
    const types: unknown[] = [schema['type'] ?? implied].flat();
    const known = types.filter((type) => typeof type === 'string' && Object.hasOwn(OF_TYPE, type));
    if (types.length === 0 || known.length < types.length) {
      const what = `one or several of ${Object.keys(OF_TYPE).join(', ')}`;
      return this.#wrong(
        types[0] === undefined ? 'unsupported' : 'invalid',
        pointer + step('type'),
        what,
      );
    }
    const names = known as string[];
    this.#refuse(given, ['type', ...names.flatMap((name) => OF_TYPE[name] ?? [])], pointer);
    const nodes = names.map((name) => this.#ofType(name, schema, pointer, refs, depth));
    if (nodes.length === 1) return nodes[0];
    return this.#union(nodes, pointer + step('type'));
  }

  #ofType(
    type: string,
    schema: Schema,
    pointer: string,
    refs: readonly string[],
    depth: number,
  ): SchemaNode | undefined {
    if (type === 'null') return this.#valuesOf([null], pointer);
    if (type === 'boolean') return this.#valuesOf([true, false], pointer);
    if (type === 'integer' || type === 'number')
      return this.#number(type === 'integer', schema, pointer);
    if (type === 'string') return this.#string(schema, pointer);
    return type === 'object'
      ? this.#object(schema, pointer, refs, depth)
      : this.#array(schema, pointer, refs, depth);
  }

  #string(schema: Schema, pointer: string): SchemaNode | undefined {
    const { pattern, format } = schema;
    if (pattern !== undefined || format !== undefined) return this.#text(schema, pointer);
    const minLength = this.#count(schema, 'minLength', pointer) ?? 0;
    const maxLength = this.#count(schema, 'maxLength', pointer) ?? Infinity;
    if (minLength > maxLength)
      return this.#wrong('invalid', pointer + step('minLength'), 'at most maxLength');
    return { kind: 'string', minLength, maxLength };
  }

  #text(schema: Schema, pointer: string): SchemaNode | undefined {
    const { pattern, format } = schema;
    // Beside a pattern, which is held to, a format says the same in other words: zod writes both.
    const isFormat = pattern === undefined;
    const key = isFormat ? 'format' : 'pattern';
    for (const other of ['minLength', 'maxLength']) {
      if (schema[other] === undefined) continue;
      this.#wrong('unsupported', pointer + step(other), `none of it beside ${key}, which says it`);
    }
    if (isFormat) {
      const isNamed = typeof format === 'string' && Object.hasOwn(FORMATS, format);
      const expression = isNamed ? FORMATS[format] : undefined;
      if (expression !== undefined) {
        return this.#textOf(expression, pointer);
      }
      const what = `one of ${Object.keys(FORMATS).join(', ')}`;
      return this.#wrong('unsupported', pointer + step('format'), what);
    }
    const read = this.#patterns.get(pattern) ?? readPattern(pattern, true);
    this.#patterns.set(pattern, read);
    if ('kind' in read) return this.#wrong(read.kind, pointer + step('pattern'), read.expected);
    if (format !== undefined && !isSaidBy(format, pattern as string)) {
      const what = 'none beside a pattern that does not say it: only the pattern is held to';
      return this.#wrong('unsupported', pointer + step('format'), what);
    }
    return this.#textOf(read.expression, pointer);
  }

  #textOf(expression: Expression, pointer: string): SchemaNode | undefined {
    const known = this.#texts.get(expression);
    if (known !== undefined) return known;
    this.#parts += partsOf(expression);
    if (this.#parts > MOST_PARTS) return this.#tooLarge(pointer);
    if (this.#texts.size === MOST_GRAMMARS) return this.#tooMany(pointer);
    const node = this.#grammar({ kind: 'text', expression, isPlain: false });
    this.#texts.set(expression, node);
    return node;
  }

  #object(
    schema: Schema,
    pointer: string,
    refs: readonly string[],
    depth: number,
  ): SchemaNode | undefined {
    const { properties = {}, required = [], additionalProperties } = schema;
    if (additionalProperties !== undefined && additionalProperties !== false) {
      this.#wrong(
        'unsupported',
        pointer + step('additionalProperties'),
        'false: only named properties are written',
      );
    }
    if (!isObject(properties))
      return this.#wrong('invalid', pointer + step('properties'), 'an object');
    const names = Object.keys(properties);
    const isNames = Array.isArray(required) && required.every((name) => typeof name === 'string');
    if (!isNames) return this.#wrong('invalid', pointer + step('required'), 'a list of names');
    const missing = required.filter((name) => !names.includes(name));
    for (const name of missing) {
      this.#wrong(
        'unsupported',
        pointer + step('required'),
        `names of properties (${name.slice(0, 64)} is none)`,
      );
    }
    this.#properties += names.length;
    if (this.#properties > MOST_PROPERTIES) {
      return this.#wrong(
        'complex',
        pointer + step('properties'),
        `at most ${MOST_PROPERTIES} of them`,
      );
    }
    const read = names.map((name) => ({
      name,
      isRequired: required.includes(name),
      node: this.read(properties[name], pointer + step('properties') + step(name), refs, depth + 1),
    }));
    return {
      kind: 'object',
      properties: read.flatMap(({ node, ...rest }) => (node ? [{ ...rest, node }] : [])),
    };
  }

  #array(
    schema: Schema,
    pointer: string,
    refs: readonly string[],
    depth: number,
  ): SchemaNode | undefined {
    const { items, prefixItems } = schema;
    const given: unknown[] = Array.isArray(prefixItems) ? prefixItems : [];
    if (prefixItems !== undefined && given.length === 0) {
      return this.#wrong('invalid', pointer + step('prefixItems'), 'a list of schemas');
    }
    const prefix = given.map((one, i) =>
      this.read(one, pointer + step('prefixItems') + step(i), refs, depth + 1),
    );
    const isClosed = items === false || (items === undefined && given.length > 0);
    const item = isClosed ? undefined : this.read(items, pointer + step('items'), refs, depth + 1);
    if (prefix.includes(undefined) || (!isClosed && item === undefined)) return undefined;
    const minItems = this.#count(schema, 'minItems', pointer) ?? (isClosed ? given.length : 0);
    const maxItems =
      this.#count(schema, 'maxItems', pointer) ?? (isClosed ? given.length : Infinity);
    if (isClosed && maxItems > given.length) {
      const what = `at most ${given.length}, as many as prefixItems has`;
      return this.#wrong('unsupported', pointer + step('maxItems'), what);
    }
    if (minItems > MOST_LISTED || (maxItems > MOST_LISTED && maxItems < Infinity)) {
      const key = minItems > MOST_LISTED ? 'minItems' : 'maxItems';
      return this.#wrong('complex', pointer + step(key), `at most ${MOST_LISTED}`);
    }
    if (minItems > maxItems)
      return this.#wrong('invalid', pointer + step('minItems'), 'at most maxItems');
    const node: ArrayNode = {
      kind: 'array',
      prefix: prefix as SchemaNode[],
      item,
      minItems,
      maxItems,
    };
    const isLong = maxItems > MOST_ITEMS || stepsPast(node) > MOST_STEPS;
    // Nothing tells an item from the list's end but the item itself.
    const isBare = minItems === 0 && !isLong && areAlike(itemWays(node, 0, () => ['']));
    return isLong || isBare ? this.#grammar(node) : node;
  }

  #number(isInteger: boolean, schema: Schema, pointer: string): SchemaNode | undefined {
    const bound = (key: string): number | undefined => {
      const value = schema[key];
      if (value === undefined || Math.abs(Number(value)) >= UNBOUNDED) return undefined;
      if (typeof value === 'number') return value;
      this.#wrong('invalid', pointer + step(key), 'a number');
      return undefined;
    };
    const [least, above] = [bound('minimum') ?? -Infinity, bound('exclusiveMinimum') ?? -Infinity];
    const [most, below] = [bound('maximum') ?? Infinity, bound('exclusiveMaximum') ?? Infinity];
    const range = numberRange(isInteger, { least, above, most, below });
    if (range === undefined) {
      return this.#wrong('invalid', pointer + step('minimum'), 'a number between the bounds');
    }
    return 'kind' in range ? range : this.#valuesOf(range, pointer);
  }

  #count(schema: Schema, key: string, pointer: string): number | undefined {
    const value = schema[key];
    if (value === undefined || (Number.isSafeInteger(value) && Number(value) >= 0)) {
      return value as number | undefined;
    }
    this.#wrong('invalid', pointer + step(key), 'a whole number');
    return undefined;
  }

  #ref(
    schema: Schema,
    given: readonly string[],
    pointer: string,
    refs: readonly string[],
    depth: number,
  ): SchemaNode | undefined {
    this.#refuse(given, ['$ref'], pointer);
    const { $ref: ref } = schema;
    const at = pointer + step('$ref');
    const parts = typeof ref === 'string' ? /^#((?:\/[^/]*)*)$/.exec(ref)?.[1] : undefined;
    if (typeof ref !== 'string' || parts === undefined) {
      return this.#wrong('unsupported', at, 'a reference inside the schema, #/$defs/NAME');
    }
    if (refs.includes(ref)) {
      this.#recursive.set(ref, this.#recursive.get(ref) ?? at);
      return { kind: 'reference', to: ref };
    }
    let target: unknown = this.#root;
    for (const part of parts.split('/').slice(1)) {
      const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
      target = isObject(target) && Object.hasOwn(target, key) ? target[key] : undefined;
    }
    if (target === undefined) return this.#wrong('invalid', at, 'what is there');
    const node = this.read(target, ref, [...refs, ref], depth + 1);
    return node && this.#named(ref, node);
  }

  /** What a reference inside it leads back to is written under a grammar. */
  #named(ref: string, node: SchemaNode): SchemaNode {
    if (!this.#recursive.has(ref)) return node;
    this.#definitions.set(ref, node);
    return this.#grammar(node);
  }

  #either(
    branches: unknown,
    pointer: string,
    refs: readonly string[],
    depth: number,
    isExclusive: boolean,
  ): SchemaNode | undefined {
    if (!Array.isArray(branches) || branches.length === 0) {
      return this.#wrong('invalid', pointer, 'a list of schemas');
    }
    if (branches.length > MOST_BRANCHES) {
      return this.#wrong('complex', pointer, `at most ${MOST_BRANCHES} branches`);
    }
    const nodes = branches.map((one, i) => this.read(one, pointer + step(i), refs, depth));
    return this.#union(nodes, pointer, isExclusive);
  }

  #union(
    given: readonly (SchemaNode | undefined)[],
    pointer: string,
    isExclusive = false,
  ): SchemaNode | undefined {
    const nodes = given.filter((node) => node !== undefined);
    if (nodes.length < given.length) return undefined;
    if (isExclusive && haveValuesInCommon(nodes)) {
      return this.#wrong('unsupported', pointer, 'branches that have no value in common');
    }
    const told = unionOf(nodes);
    if (told !== undefined) return told;
    if (!isExclusive || areApart(nodes)) return this.#grammar({ kind: 'any', branches: nodes });
    const what =
      'branches told apart by their types, or by a constant property that all of them need';
    return this.#wrong('unsupported', pointer, what);
  }

  /** Values of a list, held against the type beside it: those of another could never come. */
  #listed(values: readonly Json[], { type }: Schema, pointer: string): SchemaNode | undefined {
    const types: unknown[] = [type ?? []].flat();
    const wrong = values.filter(
      (value) => types.length > 0 && !types.some((one) => isOf(one, value)),
    );
    if (wrong.length === 0) return this.#valuesOf(values, pointer);
    return this.#wrong('invalid', pointer, `values of the type beside it, ${types.join(' or ')}`);
  }

  #valuesOf(values: readonly Json[], pointer: string): SchemaNode | undefined {
    this.#values += values.length;
    if (this.#values > MOST_VALUES + MOST_INTEGERS || values.length > MOST_VALUES) {
      return this.#wrong('complex', pointer, `at most ${MOST_VALUES} values`);
    }
    const texts = new Map<string, Json>();
    for (const value of values) {
      const text = textOf(value);
      if (/^-?[\d.]+e/.test(text)) this.#wrong('unsupported', pointer, 'numbers without exponent');
      if (!texts.has(text)) texts.set(text, value);
    }
    return { kind: 'values', values: Array.from(texts, ([text, value]) => ({ text, value })) };
  }

  #refuse(given: readonly string[], known: readonly string[], pointer: string): void {
    for (const key of given) {
      if (known.includes(key)) continue;
      this.#wrong(
        'unsupported',
        pointer + step(key.slice(0, 64)),
        `none of it beside ${known.join(', ')}`,
      );
    }
  }

  /** @returns no node */
  #wrong(kind: SchemaProblem['kind'], pointer: string, expected: string): SchemaNode | undefined {
    this.problems.push({ kind, pointer, message: `${pointer}: expected ${expected}` });
    if (kind === 'complex') this.#isBeyond = true;
    return undefined;
  }
}
