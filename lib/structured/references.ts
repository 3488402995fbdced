/** References of a schema: what each leads to, and those that lead back to where they stand, which are written under a grammar. */
import type { GrammarSet } from './grammar-set.js';
import type { Definitions, ReferenceNode, SchemaNode } from './node.js';
import { endless } from './recursion.js';
import { isObject, type SchemaProblems } from './schema-problems.js';

export class References {
  readonly #root: unknown;
  readonly #problems: SchemaProblems;
  readonly #grammars: GrammarSet;
  /** Of references that lead back to where they stand. */
  readonly #definitions = new Map<string, SchemaNode>();
  /** Where each of them stands first. */
  readonly #recursive = new Map<string, string>();

  /** @param root the schema that they stand in */
  constructor(root: unknown, problems: SchemaProblems, grammars: GrammarSet) {
    this.#root = root;
    this.#problems = problems;
    this.#grammars = grammars;
  }

  get definitions(): Definitions {
    return this.#definitions;
  }

  /**
   * What it leads to: a schema to read, or the node of a recursion; undefined for what is told.
   *
   * @param refs that lead here: one met again is a recursion
   */
  resolve(
    ref: unknown,
    refs: readonly string[],
    at: string,
  ): { readonly ref: string; readonly schema: unknown } | ReferenceNode | undefined {
    const parts = typeof ref === 'string' ? /^#((?:\/[^/]*)*)$/.exec(ref)?.[1] : undefined;
    if (typeof ref !== 'string' || parts === undefined) {
      this.#problems.wrong('unsupported', at, 'a reference inside the schema, #/$defs/NAME');
      return undefined;
    }
    if (refs.includes(ref)) {
      this.#recursive.set(ref, this.#recursive.get(ref) ?? at);
      return { kind: 'reference', to: ref };
    }
    let target: unknown = this.#root;
    for (const part of parts.split('/').slice(1)) {
      const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
      target = isObject(target) && Object.hasOwn(target, key) ? target[key] : undefined;
    }
    if (target !== undefined) return { ref, schema: target };
    this.#problems.wrong('invalid', at, 'what is there');
    return undefined;
  }

  /** What a reference inside it leads back to is written under a grammar. */
  named(ref: string, node: SchemaNode): SchemaNode {
    if (!this.#recursive.has(ref)) return node;
    this.#definitions.set(ref, node);
    return this.#grammars.add(node);
  }

  /** Tells those that no value can end with. */
  checkEnds(): void {
    for (const name of endless(this.#definitions)) {
      this.#problems.wrong(
        'invalid',
        this.#recursive.get(name) ?? name,
        'a reference that a value can end with',
      );
    }
  }
}
