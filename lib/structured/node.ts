/** A closed schema as what an answer is written by: literal text, and holes in it. */
import type { Expression, Grammar } from './expression.js';

export type Json =
  null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/** One of several values, each written out: enum, const, boolean, null, whole numbers of a small range. */
export interface ValuesNode {
  readonly kind: 'values';
  readonly values: readonly { readonly value: Json; readonly text: string }[];
}

/** Any text of so many characters (code points). */
export interface StringNode {
  readonly kind: 'string';
  readonly minLength: number;
  /** Infinity: no bound. */
  readonly maxLength: number;
}

/** Bounds are included. */
export interface NumberNode {
  readonly kind: 'number';
  readonly isInteger: boolean;
  readonly minimum: number;
  readonly maximum: number;
  /** Neither of the bounds themselves. */
  readonly isAbove: boolean;
  readonly isBelow: boolean;
  /** `null` may stand in its place. */
  readonly orNull: boolean;
}

export interface ObjectNode {
  readonly kind: 'object';
  readonly properties: readonly {
    readonly name: string;
    readonly isRequired: boolean;
    readonly node: SchemaNode;
  }[];
}

export interface ArrayNode {
  readonly kind: 'array';
  /** Of the first places; the others' is `item`. */
  readonly prefix: readonly SchemaNode[];
  readonly item: SchemaNode | undefined;
  readonly minItems: number;
  readonly maxItems: number;
}

/** What follows tells which: no two begin alike. */
export interface AnyNode {
  readonly kind: 'any';
  readonly branches: readonly SchemaNode[];
}

/** A text of a pattern or format. */
export interface TextNode {
  readonly kind: 'text';
  /** The inside of the string. */
  readonly expression: Expression;
  /** It stands alone, without quotes and escapes. */
  readonly isPlain: boolean;
}

/** What stands under such a name. */
export interface ReferenceNode {
  readonly kind: 'reference';
  readonly to: string;
}

/** What is written token by token under a grammar: it cannot be cut into literal text and holes. */
export interface GrammarNode {
  readonly kind: 'grammar';
  readonly of: SchemaNode;
  readonly grammar: Grammar;
  /** What its text begins with; the grammar has it, too. */
  readonly lead: string;
}

/** What references stand for, by their pointers. */
export type Definitions = ReadonlyMap<string, SchemaNode>;

export type SchemaNode =
  | ValuesNode
  | StringNode
  | NumberNode
  | ObjectNode
  | ArrayNode
  | AnyNode
  | TextNode
  | ReferenceNode
  | GrammarNode;

/** Texts that may come, as far as the next hole. */
export type Texts = () => readonly string[];

/** More than so many ways on are told by their first characters only. */
const MANY = 8;

function few(texts: readonly string[]): readonly string[] {
  return texts.length <= MANY ? texts : [...new Set(texts.map((text) => text.slice(0, 1)))];
}

export function commonStart(texts: readonly string[]): string {
  const [first = ''] = texts;
  let length = first.length;
  for (const text of texts) {
    while (!text.startsWith(first.slice(0, length))) length--;
  }
  // No half of a character.
  return first.slice(0, length).replace(/[\ud800-\udbff]$/, '');
}

export const keyText = (name: string): string => `${JSON.stringify(name).normalize('NFC')}:`;

/** How `node` begins, up to its first hole; with what comes after it where it has none. */
export function leads(node: SchemaNode, after: Texts): readonly string[] {
  switch (node.kind) {
    case 'values': {
      const texts = node.values.map(({ text }) => text);
      const [only = ''] = texts;
      return texts.length === 1 ? few(after()).map((text) => only + text) : [commonStart(texts)];
    }
    case 'string':
      return ['"'];
    case 'number':
    case 'reference':
      return [''];
    case 'text':
      return [node.isPlain ? '' : '"'];
    case 'grammar':
      return [node.lead];
    case 'object':
      return ways(propertyWays(node, 0, true, after)).map((text) => `{${text}`);
    case 'array':
      return ways(itemWays(node, 0, after)).map((text) => `[${text}`);
    case 'any':
      return branchWays(node, after).map(({ text }) => text);
  }
}

/** One way on: which of them it is, and how it begins. */
export interface Way {
  /** Of the property, of the item, or of the branch; `END`: the closing bracket. */
  readonly target: number;
  readonly text: string;
}

export const END = -1;

const ways = (all: readonly Way[]): readonly string[] => few(all.map(({ text }) => text));

/** What follows is the same for every way that leads there. */
function once(texts: Texts): Texts {
  let known: readonly string[] | undefined;
  return () => (known ??= texts());
}

/** What may follow property `next - 1`. */
export function propertyWays(
  { properties }: ObjectNode,
  next: number,
  isFirst: boolean,
  after: Texts,
): readonly Way[] {
  // Each property is looked at once, however many of those before it may be left out.
  const known: (readonly Way[])[] = [];
  const waysFrom = (i: number): readonly Way[] => {
    const property = properties[i];
    if (property === undefined) return after().map((text) => ({ target: END, text: `}${text}` }));
    const head = `,${keyText(property.name)}`;
    const own = leads(property.node, () => ways(from(i + 1)));
    const found = own.map((text) => ({ target: i, text: head + text }));
    return property.isRequired ? found : [...found, ...from(i + 1)];
  };
  const from = (i: number): readonly Way[] => (known[i] ??= waysFrom(i));
  if (!isFirst) return from(next);
  return from(next).map(({ target, text }) => ({
    target,
    text: target === END ? text : text.slice(1),
  }));
}

export function itemOf(node: ArrayNode, i: number): SchemaNode | undefined {
  return node.prefix[i] ?? node.item;
}

/** What may follow item `next - 1`. */
export function itemWays(node: ArrayNode, next: number, after: Texts): readonly Way[] {
  return itemWaysFrom(node, next, once(after));
}

function itemWaysFrom(node: ArrayNode, next: number, after: Texts): readonly Way[] {
  const found: Way[] = [];
  const item = next < node.maxItems ? itemOf(node, next) : undefined;
  if (item !== undefined) {
    const head = next === 0 ? '' : ',';
    const rest = once(() => ways(itemWaysFrom(node, next + 1, after)));
    for (const text of leads(item, rest)) {
      const begun = head + text;
      if (begun !== '') found.push({ target: next, text: begun });
      // Nothing tells it from a bracket but the values themselves.
      else for (const opening of openings(item)) found.push({ target: next, text: opening });
    }
  }
  if (next >= node.minItems) {
    for (const text of after()) found.push({ target: END, text: `]${text}` });
  }
  return found;
}

export function branchWays(node: AnyNode, after: Texts): readonly Way[] {
  const rest = once(after);
  return node.branches.flatMap((branch, target) =>
    leads(branch, rest).map((text) => ({ target, text })),
  );
}

function openings(node: SchemaNode): readonly string[] {
  if (node.kind === 'values') return node.values.map(({ text }) => text);
  if (node.kind === 'any') return node.branches.flatMap(openings);
  return leads(node, () => ['']);
}

/** Whether any text of one way begins a text of another. */
export function areAlike(all: readonly Way[]): boolean {
  return all.some((one) =>
    all.some(
      (other) =>
        other.target !== one.target && (other.text.startsWith(one.text) || one.text === ''),
    ),
  );
}
