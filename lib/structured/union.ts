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
