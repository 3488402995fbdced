/**
 * A JSON schema to what an answer is written by. Whatever would not be held to is refused by name, all of it at once: nothing is
 * left out silently.
 */
import { areAlike, type ArrayNode, itemWays, type Json, type SchemaNode } from './node.js';
import { MOST_INTEGERS, numberRange } from './number-range.js';
import { haveValuesInCommon, unionOf } from './union.js';

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
const MOST_ITEMS = 64;
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
  string: ['minLength', 'maxLength'],
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
  const node = reader.read(schema, '#', []);
  if (node?.kind === 'number') {
    // Nothing that follows would end it.
    const message = '#: expected an object or a list around a number without a small range';
    return { problems: [...reader.problems, { kind: 'unsupported', pointer: '#', message }] };
  }
  const [first] = reader.problems;
  return first === undefined && node !== undefined ? { node } : { problems: reader.problems };
}

class Reader {
  readonly problems: SchemaProblem[] = [];
  readonly #root: unknown;
  #properties = 0;
  #values = 0;

  constructor(root: unknown) {
    this.#root = root;
  }

  /** @param refs that lead here: one met again would never end */
  read(
    schema: unknown,
    pointer: string,
    refs: readonly string[],
    depth = 1,
  ): SchemaNode | undefined {
    if (depth > MOST_DEPTH)
      return this.#wrong('complex', pointer, `values nested at most ${MOST_DEPTH} deep`);
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
    if (type === 'string') {
      const minLength = this.#count(schema, 'minLength', pointer) ?? 0;
      const maxLength = this.#count(schema, 'maxLength', pointer) ?? Infinity;
      if (minLength > maxLength)
        return this.#wrong('invalid', pointer + step('minLength'), 'at most maxLength');
      return { kind: 'string', minLength, maxLength };
    }
    return type === 'object'
      ? this.#object(schema, pointer, refs, depth)
      : this.#array(schema, pointer, refs, depth);
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
    const most = isClosed ? given.length : MOST_ITEMS;
    const minItems = this.#count(schema, 'minItems', pointer) ?? (isClosed ? given.length : 0);
    const maxItems =
      this.#count(schema, 'maxItems', pointer) ?? (isClosed ? given.length : undefined);
    if (maxItems === undefined || maxItems > most) {
      return this.#wrong('unsupported', pointer + step('maxItems'), `a number of at most ${most}`);
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
    if (minItems === 0 && areAlike(itemWays(node, 0, () => ['']))) {
      return this.#wrong(
        'unsupported',
        pointer + step('minItems'),
        'at least 1, where items are numbers',
      );
    }
    return node;
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
    if (refs.includes(ref))
      return this.#wrong('unsupported', at, 'no reference to what it stands in');
    let target: unknown = this.#root;
    for (const part of parts.split('/').slice(1)) {
      const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
      target = isObject(target) && Object.hasOwn(target, key) ? target[key] : undefined;
    }
    if (target === undefined) return this.#wrong('invalid', at, 'what is there');
    return this.read(target, ref, [...refs, ref], depth + 1);
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
    const what = 'branches that tell themselves apart by their beginning';
    return unionOf(nodes) ?? this.#wrong('unsupported', pointer, what);
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
    return undefined;
  }
}
