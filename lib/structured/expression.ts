/** Forms of text as expressions over characters, with rules by name: what a {@link GrammarNode} holds, and {@link Matcher} goes by. */

/** Ascending, apart from each other, both ends included; no surrogates. */
export type CodePoints = readonly (readonly [first: number, last: number])[];

export type Expression =
  | { readonly text: string }
  /** One of the characters. */
  | { readonly set: CodePoints }
  | { readonly all: readonly Expression[] }
  | { readonly any: readonly Expression[] }
  /** `most` null: without end, as JSON has no infinity. */
  | { readonly of: Expression; readonly least: number; readonly most: number | null }
  | { readonly rule: string };

export interface Grammar {
  readonly root: Expression;
  readonly rules: Readonly<Record<string, Expression>>;
}

export const text = (own: string): Expression => ({ text: own });
export const NOTHING: Expression = text('');
export const rule = (name: string): Expression => ({ rule: name });

export function all(...parts: readonly Expression[]): Expression {
  const [only] = parts;
  return only !== undefined && parts.length === 1 ? only : { all: parts };
}

export function any(ways: readonly Expression[]): Expression {
  const [only] = ways;
  return only !== undefined && ways.length === 1 ? only : { any: ways };
}

export const times = (of: Expression, least: number, most: number): Expression => ({
  ...{ of, least },
  most: most === Infinity ? null : most,
});

const sizes = new WeakMap<Expression, number>();

/** Parts of it: what is met again is counted again, and looked at once. */
export function partsOf(expression: Expression): number {
  const known = sizes.get(expression);
  if (known !== undefined) return known;
  let parts = 1;
  if ('all' in expression) for (const one of expression.all) parts += partsOf(one);
  else if ('any' in expression) for (const one of expression.any) parts += partsOf(one);
  else if ('of' in expression) parts += partsOf(expression.of);
  sizes.set(expression, parts);
  return parts;
}
