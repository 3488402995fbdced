/**
 * A JSON schema to what an answer is written by. Whatever would not be held to is refused by name, all of it at once: nothing is
 * left out silently.
 */
import type { SchemaNode } from './node.js';
import type { SchemaProblem } from './schema-problems.js';
import { MOST_DEPTH, SchemaReader } from './schema-reader.js';

export type SchemaResult =
  | { readonly node: SchemaNode; readonly problems?: undefined }
  | { readonly node?: undefined; readonly problems: readonly SchemaProblem[] };

const MOST_BYTES = 64 * 1024;

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
  const reader = new SchemaReader(schema);
  const node = reader.whole(schema);
  const [first] = reader.problems;
  return first === undefined && node !== undefined ? { node } : { problems: reader.problems };
}
