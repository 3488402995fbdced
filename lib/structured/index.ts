/** Schemas that answers are held to: what they are written by, and which ids each free place takes. */
export {
  branchWays,
  END,
  type GrammarNode,
  itemOf,
  itemWays,
  type Json,
  keyText,
  type NumberNode,
  propertyWays,
  type SchemaNode,
  type StringNode,
  type Texts,
  type ValuesNode,
  type Way,
} from './node.js';
export { readSchema, readSettledSchema, type SchemaResult } from './read-schema.js';
export type { SchemaProblem } from './schema-problems.js';
export { automatonOf, GrammarTooLarge } from './automaton.js';
export type { Grammar } from './expression.js';
export { withFollowing } from './grammar-rules.js';
export { anyObject, grammarsIn, plainText } from './grammars.js';
export { Matcher, PlaceTable, TooManyWays } from './matcher.js';
export { SortedVocabulary } from './sorted-vocabulary.js';
export { readPattern } from './pattern.js';
export type { FreeHole, HoleContext } from './free-hole.js';
export { NumberHole } from './number-hole.js';
export { StringHole } from './string-hole.js';
export { textTokens, type TokenBytes } from './text-tokens.js';
