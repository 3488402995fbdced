/** Nodes that a grammar holds to: those of a schema, and forms that have none. */
import type { Expression, Grammar } from './expression.js';
import { grammarOf, grammarOfAnyObject } from './grammar-rules.js';
import type { GrammarNode, SchemaNode } from './node.js';

/** Values of any JSON object are nested so deep at most, itself included. */
const MOST_DEPTH = 16;

/** Grammars that an answer of such a node comes to. */
export function grammarsIn(node: SchemaNode): readonly Grammar[] {
  switch (node.kind) {
    case 'grammar':
      return [node.grammar];
    case 'object':
      return node.properties.flatMap((one) => grammarsIn(one.node));
    case 'array':
      return [...node.prefix, ...(node.item === undefined ? [] : [node.item])].flatMap(grammarsIn);
    case 'any':
      return node.branches.flatMap(grammarsIn);
    default:
      return [];
  }
}

/** Any JSON object. */
export function anyObject(): GrammarNode {
  return {
    kind: 'grammar',
    of: { kind: 'object', properties: [] },
    grammar: grammarOfAnyObject(MOST_DEPTH),
    lead: '{',
  };
}

/** A text that stands alone, without quotes. @param expression of `readPattern` */
export function plainText(expression: Expression): GrammarNode {
  const of = { kind: 'text', expression, isPlain: true } as const;
  return { kind: 'grammar', of, grammar: grammarOf(of, new Map()), lead: '' };
}
