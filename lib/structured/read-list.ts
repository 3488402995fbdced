/** Lists whose items have been read: how many there may be, and which lists cannot be cut into places. */
import type { GrammarSet } from './grammar-set.js';
import { stepsPast } from './look-ahead.js';
import { areAlike, type ArrayNode, itemWays, type SchemaNode } from './node.js';
import { type Schema, type SchemaProblems, step } from './schema-problems.js';

/** Longer lists are written under a grammar, and longer ones than that not at all. */
const MOST_ITEMS = 64;
const MOST_LISTED = 1000;
/** Lists that take more to be looked past are written under a grammar, too. */
const MOST_STEPS = 4096;

/** @param item of the places behind `prefix`; undefined: there are none */
export function readList(
  schema: Schema,
  prefix: readonly SchemaNode[],
  item: SchemaNode | undefined,
  pointer: string,
  { problems, grammars }: { readonly problems: SchemaProblems; readonly grammars: GrammarSet },
): SchemaNode | undefined {
  const closedAt = item === undefined ? prefix.length : undefined;
  const minItems = problems.count(schema, 'minItems', pointer) ?? closedAt ?? 0;
  const maxItems = problems.count(schema, 'maxItems', pointer) ?? closedAt ?? Infinity;
  if (closedAt !== undefined && maxItems > closedAt) {
    const what = `at most ${closedAt}, as many as prefixItems has`;
    return problems.wrong('unsupported', pointer + step('maxItems'), what);
  }
  if (minItems > MOST_LISTED || (maxItems > MOST_LISTED && maxItems < Infinity)) {
    const key = minItems > MOST_LISTED ? 'minItems' : 'maxItems';
    return problems.wrong('complex', pointer + step(key), `at most ${MOST_LISTED}`);
  }
  if (minItems > maxItems)
    return problems.wrong('invalid', pointer + step('minItems'), 'at most maxItems');
  const node: ArrayNode = { kind: 'array', prefix, item, minItems, maxItems };
  const isLong = maxItems > MOST_ITEMS || stepsPast(node) > MOST_STEPS;
  // Nothing tells an item from the list's end but the item itself.
  const isBare = minItems === 0 && !isLong && areAlike(itemWays(node, 0, () => ['']));
  return isLong || isBare ? grammars.add(node) : node;
}
