/**
 * A JSON schema to what an answer is written by. Whatever would not be held to is refused by name, all of it at once: nothing is
 * left out silently.
 */
import { GrammarSet } from './grammar-set.js';
import { stepsPast } from './look-ahead.js';
import { areAlike, type ArrayNode, itemWays, type Json, type SchemaNode } from './node.js';
import { LeafReader } from './read-leaf.js';
import { endless } from './recursion.js';
import {
  isObject,
  type Schema,
  type SchemaProblem,
  SchemaProblems,
  step,
} from './schema-problems.js';
import { areApart, haveValuesInCommon, unionOf } from './union.js';

export type SchemaResult =
  | { readonly node: SchemaNode; readonly problems?: undefined }
  | { readonly node?: undefined; readonly problems: readonly SchemaProblem[] };

const MOST_BYTES = 64 * 1024;
const MOST_DEPTH = 16;
const MOST_PROPERTIES = 256;
const MOST_BRANCHES = 32;
/** Longer lists are written under a grammar, and longer ones than that not at all. */
const MOST_ITEMS = 64;
const MOST_LISTED = 1000;
/** Lists that take more to be looked past are written under a grammar, too. */
const MOST_STEPS = 4096;
/** Schemas read, each as often as references lead to it. */
const MOST_READ = 4000;

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

/** Read already, and changed by nobody since. */
const settled = new WeakMap<object, SchemaResult>();

/** @param schema that nobody changes any more: whoever reads it later is given the same */
export function readSettledSchema(schema: object): SchemaResult {
  const read = readSchema(schema);
  settled.set(schema, read);
  return read;
}

export function readSchema(schema: unknown): SchemaResult {
  const known = typeof schema === 'object' && schema !== null ? settled.get(schema) : undefined;
  return known ?? readAnew(schema);
}

function readAnew(schema: unknown): SchemaResult {
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

class Reader {
  readonly #problems = new SchemaProblems();
  readonly #grammars = new GrammarSet(this.#problems);
  readonly #leaves = new LeafReader(this.#problems, this.#grammars);
  readonly #root: unknown;
  /** Of references that lead back to where they stand. */
  readonly #definitions = new Map<string, SchemaNode>();
  readonly #recursive = new Map<string, string>();
  #properties = 0;
  #read = 0;

  get problems(): readonly SchemaProblem[] {
    return this.#problems.list;
  }

  constructor(root: unknown) {
    this.#root = root;
  }

  whole(schema: unknown): SchemaNode | undefined {
    const read = this.read(schema, '#', ['#']);
    // The schema as a whole is what `#` refers to.
    const named = read && this.#named('#', read);
    // Nothing that follows a number would end it.
    const node = named?.kind === 'number' ? this.#grammars.add(named) : named;
    for (const name of endless(this.#definitions)) {
      this.#problems.wrong(
        'invalid',
        this.#recursive.get(name) ?? name,
        'a reference that a value can end with',
      );
    }
    if (this.problems.length > 0) return undefined;
    this.#grammars.finish(this.#definitions);
    if (this.#problems.list.length > 0) return undefined;
    return node;
  }

  /** @param refs that lead here: one met again is a recursion */
  read(
    schema: unknown,
    pointer: string,
    refs: readonly string[],
    depth = 1,
  ): SchemaNode | undefined {
    if (this.#problems.isBeyond) return undefined;
    if (depth > MOST_DEPTH)
      return this.#problems.wrong('complex', pointer, `values nested at most ${MOST_DEPTH} deep`);
    if (++this.#read > MOST_READ) {
      return this.#problems.wrong(
        'complex',
        pointer,
        `at most ${MOST_READ} schemas, followed through references`,
      );
    }
    if (!isObject(schema)) return this.#problems.wrong('invalid', pointer, 'a schema object');
    const given = Object.keys(schema).filter((key) => !IGNORED.includes(key));
    if ('$ref' in schema) return this.#ref(schema, given, pointer, refs, depth);
    if ('const' in schema) {
      this.#problems.refuse(given, ['const', 'type'], pointer);
      return this.#leaves.listed([schema['const'] as Json], schema, pointer + step('const'));
    }
    if ('enum' in schema) {
      this.#problems.refuse(given, ['enum', 'type'], pointer);
      const { enum: values } = schema;
      if (!Array.isArray(values) || values.length === 0) {
        return this.#problems.wrong('invalid', pointer + step('enum'), 'a list of values');
      }
      return this.#leaves.listed(values as Json[], schema, pointer + step('enum'));
    }
    const either = ['anyOf', 'oneOf'].find((key) => key in schema);
    if (either !== undefined) {
      this.#problems.refuse(given, [either], pointer);
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
      return this.#problems.wrong(
        types[0] === undefined ? 'unsupported' : 'invalid',
        pointer + step('type'),
        what,
      );
    }
    const names = known as string[];
    this.#problems.refuse(
      given,
      ['type', ...names.flatMap((name) => OF_TYPE[name] ?? [])],
      pointer,
    );
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
    if (type === 'null') return this.#leaves.values([null], pointer);
    if (type === 'boolean') return this.#leaves.values([true, false], pointer);
    if (type === 'integer' || type === 'number')
      return this.#leaves.number(type === 'integer', schema, pointer);
    if (type === 'string') return this.#leaves.string(schema, pointer);
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
      this.#problems.wrong(
        'unsupported',
        pointer + step('additionalProperties'),
        'false: only named properties are written',
      );
    }
    if (!isObject(properties))
      return this.#problems.wrong('invalid', pointer + step('properties'), 'an object');
    const names = Object.keys(properties);
    const isNames = Array.isArray(required) && required.every((name) => typeof name === 'string');
    if (!isNames)
      return this.#problems.wrong('invalid', pointer + step('required'), 'a list of names');
    const missing = required.filter((name) => !names.includes(name));
    for (const name of missing) {
      this.#problems.wrong(
        'unsupported',
        pointer + step('required'),
        `names of properties (${name.slice(0, 64)} is none)`,
      );
    }
    this.#properties += names.length;
    if (this.#properties > MOST_PROPERTIES) {
      return this.#problems.wrong(
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
      return this.#problems.wrong('invalid', pointer + step('prefixItems'), 'a list of schemas');
    }
    const prefix = given.map((one, i) =>
      this.read(one, pointer + step('prefixItems') + step(i), refs, depth + 1),
    );
    const isClosed = items === false || (items === undefined && given.length > 0);
    const item = isClosed ? undefined : this.read(items, pointer + step('items'), refs, depth + 1);
    if (prefix.includes(undefined) || (!isClosed && item === undefined)) return undefined;
    const minItems =
      this.#problems.count(schema, 'minItems', pointer) ?? (isClosed ? given.length : 0);
    const maxItems =
      this.#problems.count(schema, 'maxItems', pointer) ?? (isClosed ? given.length : Infinity);
    if (isClosed && maxItems > given.length) {
      const what = `at most ${given.length}, as many as prefixItems has`;
      return this.#problems.wrong('unsupported', pointer + step('maxItems'), what);
    }
    if (minItems > MOST_LISTED || (maxItems > MOST_LISTED && maxItems < Infinity)) {
      const key = minItems > MOST_LISTED ? 'minItems' : 'maxItems';
      return this.#problems.wrong('complex', pointer + step(key), `at most ${MOST_LISTED}`);
    }
    if (minItems > maxItems)
      return this.#problems.wrong('invalid', pointer + step('minItems'), 'at most maxItems');
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
    return isLong || isBare ? this.#grammars.add(node) : node;
  }

  #ref(
    schema: Schema,
    given: readonly string[],
    pointer: string,
    refs: readonly string[],
    depth: number,
  ): SchemaNode | undefined {
    this.#problems.refuse(given, ['$ref'], pointer);
    const { $ref: ref } = schema;
    const at = pointer + step('$ref');
    const parts = typeof ref === 'string' ? /^#((?:\/[^/]*)*)$/.exec(ref)?.[1] : undefined;
    if (typeof ref !== 'string' || parts === undefined) {
      return this.#problems.wrong('unsupported', at, 'a reference inside the schema, #/$defs/NAME');
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
    if (target === undefined) return this.#problems.wrong('invalid', at, 'what is there');
    const node = this.read(target, ref, [...refs, ref], depth + 1);
    return node && this.#named(ref, node);
  }

  /** What a reference inside it leads back to is written under a grammar. */
  #named(ref: string, node: SchemaNode): SchemaNode {
    if (!this.#recursive.has(ref)) return node;
    this.#definitions.set(ref, node);
    return this.#grammars.add(node);
  }

  #either(
    branches: unknown,
    pointer: string,
    refs: readonly string[],
    depth: number,
    isExclusive: boolean,
  ): SchemaNode | undefined {
    if (!Array.isArray(branches) || branches.length === 0) {
      return this.#problems.wrong('invalid', pointer, 'a list of schemas');
    }
    if (branches.length > MOST_BRANCHES) {
      return this.#problems.wrong('complex', pointer, `at most ${MOST_BRANCHES} branches`);
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
      return this.#problems.wrong('unsupported', pointer, 'branches that have no value in common');
    }
    const told = unionOf(nodes);
    if (told !== undefined) return told;
    if (!isExclusive || areApart(nodes))
      return this.#grammars.add({ kind: 'any', branches: nodes });
    const what =
      'branches told apart by their types, or by a constant property that all of them need';
    return this.#problems.wrong('unsupported', pointer, what);
  }
}
