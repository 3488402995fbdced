/** The parts of a schema that are written under a grammar, and how much they may be together. */
import { type Expression, type Grammar, NOTHING, partsOf } from './expression.js';
import { grammarOf } from './grammar-rules.js';
import { commonStart, type GrammarNode, leads, type SchemaNode } from './node.js';
import type { SchemaProblems } from './schema-problems.js';

/** Grammars of a schema, which take some 50 ms each. */
const MOST_GRAMMARS = 16;
/** Of all grammars together: what a thread is sent, and compiles, before it can say that it is too much. */
const MOST_PARTS = 300_000;

const sizeOf = ({ root, rules }: Grammar): number =>
  Object.values(rules).reduce((sum, body) => sum + partsOf(body), partsOf(root));

type Writable<T> = { -readonly [K in keyof T]: T[K] };

export class GrammarSet {
  readonly #problems: SchemaProblems;
  readonly #nodes: Writable<GrammarNode>[] = [];
  readonly #texts = new Map<Expression, GrammarNode>();
  #parts = 0;

  constructor(problems: SchemaProblems) {
    this.#problems = problems;
  }

  /** What is written token by token; its text is made when all that it refers to has been read. */
  add(of: SchemaNode): GrammarNode {
    const lead = of.kind === 'array' ? '[' : commonStart(leads(of, () => ['']));
    const node: GrammarNode = { kind: 'grammar', of, grammar: { root: NOTHING, rules: {} }, lead };
    this.#nodes.push(node);
    return node;
  }

  /** A text of this expression: one grammar, however often it stands there. */
  text(expression: Expression, pointer: string): SchemaNode | undefined {
    const known = this.#texts.get(expression);
    if (known !== undefined) return known;
    this.#parts += partsOf(expression);
    if (this.#parts > MOST_PARTS) return this.#tooLarge(pointer);
    if (this.#texts.size === MOST_GRAMMARS) return this.#tooMany(pointer);
    const node = this.add({ kind: 'text', expression, isPlain: false });
    this.#texts.set(expression, node);
    return node;
  }

  /** Their texts, when all that they refer to has been read. Tells what is too much. */
  finish(definitions: ReadonlyMap<string, SchemaNode>): void {
    this.#parts = 0;
    for (const one of this.#nodes) {
      one.grammar = grammarOf(one.of, definitions);
      this.#parts += sizeOf(one.grammar);
      if (this.#parts <= MOST_PARTS) continue;
      this.#tooLarge('#');
      return;
    }
    const kinds = new Set(this.#nodes.map(({ grammar }) => JSON.stringify(grammar)));
    if (kinds.size > MOST_GRAMMARS) this.#tooMany('#');
  }

  #tooMany(pointer: string): SchemaNode | undefined {
    const what = `at most ${MOST_GRAMMARS} kinds of patterns, lists and recursions`;
    return this.#problems.wrong('complex', pointer, what);
  }

  #tooLarge(pointer: string): SchemaNode | undefined {
    return this.#problems.wrong(
      'complex',
      pointer,
      `at most ${MOST_PARTS} parts of patterns and lists`,
    );
  }
}
