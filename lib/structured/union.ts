/** Several forms, one of which a value has. */
import { areAlike, branchWays, type SchemaNode, type ValuesNode } from './node.js';

const valuesOf = (node: SchemaNode): ValuesNode['values'] =>
  node.kind === 'values' ? node.values : node.kind === 'any' ? node.branches.flatMap(valuesOf) : [];

/** Whether a value that is written out stands in two of them. */
export function haveValuesInCommon(nodes: readonly SchemaNode[]): boolean {
  const all = nodes.flatMap((node) => [...new Set(valuesOf(node).map(({ text }) => text))]);
  return new Set(all).size < all.length;
}

/**
 * Values of all branches are one hole; other branches must tell themselves apart by how they begin.
 *
 * @returns undefined where they do not
 */
export function unionOf(given: readonly SchemaNode[]): SchemaNode | undefined {
  const nodes = given.flatMap((node) => (node.kind === 'any' ? node.branches : [node]));
  const values = new Map(
    nodes
      .filter((node) => node.kind === 'values')
      .flatMap((node) => node.values)
      .map((one) => [one.text, one]),
  );
  const others = nodes.filter((node) => node.kind !== 'values');
  const [other] = others;
  if (other === undefined) return { kind: 'values', values: [...values.values()] };
  if (others.length === 1 && values.size === 0) return other;
  if (others.length === 1 && other.kind === 'number' && values.size === 1 && values.has('null')) {
    return { ...other, orNull: true };
  }
  const groups = new Map<string, ValuesNode['values'][number][]>();
  for (const one of values.values()) {
    const first = one.text.slice(0, 1);
    groups.set(first, [...(groups.get(first) ?? []), one]);
  }
  const grouped = [...groups.values()].map((one): ValuesNode => ({ kind: 'values', values: one }));
  const node = { kind: 'any', branches: [...grouped, ...others] } as const;
  return areAlike(branchWays(node, () => [''])) ? undefined : node;
}

/** Of JSON; '?': any of them. */
function typesOf(node: SchemaNode): readonly string[] {
  switch (node.kind) {
    case 'values':
      return node.values.map(({ value }) =>
        value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value,
      );
    case 'text':
      return ['string'];
    case 'number':
      return node.orNull ? ['number', 'null'] : ['number'];
    case 'any':
      return node.branches.flatMap(typesOf);
    case 'grammar':
      return typesOf(node.of);
    case 'reference':
      return ['?'];
    default:
      return [node.kind];
  }
}

/** A property that both must have, with other values in each. */
function isToldByProperty(one: SchemaNode, other: SchemaNode): boolean {
  const [a, b] = [one, other].map((node) => (node.kind === 'grammar' ? node.of : node));
  if (a?.kind !== 'object' || b?.kind !== 'object') return false;
  return a.properties.some((mine) => {
    const theirs = b.properties.find(({ name }) => name === mine.name);
    if (theirs === undefined || !mine.isRequired || !theirs.isRequired) return false;
    if (mine.node.kind !== 'values' || theirs.node.kind !== 'values') return false;
    return !haveValuesInCommon([mine.node, theirs.node]);
  });
}

/** Whether no value can be of two of them, by its type or by a property that tells which it is. */
export function areApart(nodes: readonly SchemaNode[]): boolean {
  return nodes.every((one, i) =>
    nodes.slice(i + 1).every((other) => {
      const [mine, theirs] = [typesOf(one), typesOf(other)];
      const isAny = mine.includes('?') || theirs.includes('?');
      if (!isAny && !mine.some((type) => theirs.includes(type))) return true;
      if (one.kind === 'values' && other.kind === 'values')
        return !haveValuesInCommon([one, other]);
      return isToldByProperty(one, other);
    }),
  );
}
