/** Schemas that refer to what they stand in: whether their values can end, and whether they say anything before they refer. */
import type { Definitions, SchemaNode } from './node.js';

/** Whether a value of such a node can be whole, where references to `ending` can. */
function canEnd(node: SchemaNode, ending: ReadonlySet<string>): boolean {
  switch (node.kind) {
    case 'object':
      return node.properties.every((one) => !one.isRequired || canEnd(one.node, ending));
    case 'array': {
      const { prefix, item, minItems } = node;
      const needed = prefix.slice(0, minItems);
      const isItem = item !== undefined && minItems > prefix.length;
      return [...needed, ...(isItem ? [item] : [])].every((one) => canEnd(one, ending));
    }
    case 'any':
      return node.branches.some((branch) => canEnd(branch, ending));
    case 'grammar':
      return canEnd(node.of, ending);
    case 'reference':
      return ending.has(node.to);
    default:
      return true;
  }
}

/** References that a value may be, with nothing of its own around them. */
function barely(node: SchemaNode): readonly string[] {
  if (node.kind === 'reference') return [node.to];
  if (node.kind === 'grammar') return barely(node.of);
  return node.kind === 'any' ? node.branches.flatMap(barely) : [];
}

/** Names of definitions that are nothing but themselves, or never end. */
export function endless(definitions: Definitions): readonly string[] {
  const ending = new Set<string>();
  for (let before = -1; ending.size > before;) {
    before = ending.size;
    for (const [name, node] of definitions) if (canEnd(node, ending)) ending.add(name);
  }
  const isItself = (name: string): boolean => {
    const seen = new Set<string>();
    const open = [...barelyOf(definitions, name)];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (next === name) return true;
      if (seen.has(next)) continue;
      seen.add(next);
      open.push(...barelyOf(definitions, next));
    }
    return false;
  };
  return [...definitions.keys()].filter((name) => !ending.has(name) || isItself(name));
}

function barelyOf(definitions: Definitions, name: string): readonly string[] {
  const node = definitions.get(name);
  return node === undefined ? [] : barely(node);
}
