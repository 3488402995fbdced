/** Reads a JSON schema, keyword by keyword: schemas in schemas, each at its place, as what an answer is written by. */
import { GrammarSet } from './grammar-set.js';
import type { Json, SchemaNode } from './node.js';
import { LeafReader } from './read-leaf.js';
import { readList } from './read-list.js';
import { References } from './references.js';
import {
  isObject,
  type Schema,
  type SchemaProblem,
  SchemaProblems,
  step,
} from './schema-problems.js';
import { areApart, haveValuesInCommon, unionOf } from './union.js';

export const MOST_DEPTH = 16;
const MOST_PROPERTIES = 256;
const MOST_BRANCHES = 32;
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

/** Where a schema stands. */
interface Place {
  readonly pointer: string;
  /** References that lead here: one met again is a recursion. */
  readonly refs: readonly string[];
  /** Of values in values. */
  readonly depth: number;
}

const at = (place: Place, ...steps: readonly (string | number)[]): Place => ({
  ...place,
  pointer: place.pointer + steps.map(step).join(''),
});
const below = (place: Place): Place => ({ ...place, depth: place.depth + 1 });

export class SchemaReader {
  readonly #problems = new SchemaProblems();
  readonly #grammars = new GrammarSet(this.#problems);
  readonly #leaves = new LeafReader(this.#problems, this.#grammars);
  readonly #references: References;
  #properties = 0;
  #count = 0;

  get problems(): readonly SchemaProblem[] {
    return this.#problems.list;
  }

  constructor(root: unknown) {
    this.#references = new References(root, this.#problems, this.#grammars);
  }

  whole(schema: unknown): SchemaNode | undefined {
    const read = this.#read(schema, { pointer: '#', refs: ['#'], depth: 1 });
    // The schema as a whole is what `#` refers to.
    const named = read && this.#references.named('#', read);
    // Nothing that follows a number would end it.
    const node = named?.kind === 'number' ? this.#grammars.add(named) : named;
    this.#references.checkEnds();
    if (this.problems.length > 0) return undefined;
    this.#grammars.finish(this.#references.definitions);
    return this.problems.length > 0 ? undefined : node;
  }

  #read(schema: unknown, place: Place): SchemaNode | undefined {
    const { pointer, depth } = place;
    if (this.#problems.isBeyond) return undefined;
    if (depth > MOST_DEPTH)
      return this.#problems.wrong('complex', pointer, `values nested at most ${MOST_DEPTH} deep`);
    if (++this.#count > MOST_READ) {
      return this.#problems.wrong(
        'complex',
        pointer,
        `at most ${MOST_READ} schemas, followed through references`,
      );
    }
    if (!isObject(schema)) return this.#problems.wrong('invalid', pointer, 'a schema object');
    const given = Object.keys(schema).filter((key) => !IGNORED.includes(key));
    if ('$ref' in schema) return this.#ref(schema, given, place);
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
      return this.#either(schema[either], at(place, either), either === 'oneOf');
    }
    return this.#typed(schema, given, place);
  }

  #typed(schema: Schema, given: readonly string[], place: Place): SchemaNode | undefined {
    const { pointer } = place;
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
    const nodes = names.map((name) => this.#ofType(name, schema, place));
    if (nodes.length === 1) return nodes[0];
    return this.#union(nodes, pointer + step('type'));
  }

  #ofType(type: string, schema: Schema, place: Place): SchemaNode | undefined {
    const { pointer } = place;
    if (type === 'null') return this.#leaves.values([null], pointer);
    if (type === 'boolean') return this.#leaves.values([true, false], pointer);
    if (type === 'integer' || type === 'number')
      return this.#leaves.number(type === 'integer', schema, pointer);
    if (type === 'string') return this.#leaves.string(schema, pointer);
    return type === 'object' ? this.#object(schema, place) : this.#array(schema, place);
  }

  #object(schema: Schema, place: Place): SchemaNode | undefined {
    const { pointer } = place;
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
      node: this.#read(properties[name], below(at(place, 'properties', name))),
    }));
    return {
      kind: 'object',
      properties: read.flatMap(({ node, ...rest }) => (node ? [{ ...rest, node }] : [])),
    };
  }

  #array(schema: Schema, place: Place): SchemaNode | undefined {
    const { items, prefixItems } = schema;
    const { pointer } = place;
    const given: unknown[] = Array.isArray(prefixItems) ? prefixItems : [];
    if (prefixItems !== undefined && given.length === 0) {
      return this.#problems.wrong('invalid', pointer + step('prefixItems'), 'a list of schemas');
    }
    const prefix = given.map((one, i) => this.#read(one, below(at(place, 'prefixItems', i))));
    const isClosed = items === false || (items === undefined && given.length > 0);
    const item = isClosed ? undefined : this.#read(items, below(at(place, 'items')));
    if (prefix.includes(undefined) || (!isClosed && item === undefined)) return undefined;
    return readList(schema, prefix as SchemaNode[], item, pointer, {
      problems: this.#problems,
      grammars: this.#grammars,
    });
  }

  #ref(schema: Schema, given: readonly string[], place: Place): SchemaNode | undefined {
    const { pointer, refs } = place;
    this.#problems.refuse(given, ['$ref'], pointer);
    const target = this.#references.resolve(schema['$ref'], refs, pointer + step('$ref'));
    if (target === undefined || 'kind' in target) return target;
    const { ref } = target;
    const there = { pointer: ref, refs: [...refs, ref], depth: place.depth };
    const node = this.#read(target.schema, below(there));
    return node && this.#references.named(ref, node);
  }

  #either(branches: unknown, place: Place, isExclusive: boolean): SchemaNode | undefined {
    const { pointer } = place;
    if (!Array.isArray(branches) || branches.length === 0) {
      return this.#problems.wrong('invalid', pointer, 'a list of schemas');
    }
    if (branches.length > MOST_BRANCHES) {
      return this.#problems.wrong('complex', pointer, `at most ${MOST_BRANCHES} branches`);
    }
    const nodes = branches.map((one, i) => this.#read(one, at(place, i)));
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
