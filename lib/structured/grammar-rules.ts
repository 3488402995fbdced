/**
 * What answers may be as rules of a grammar: compact JSON, keys in the schema's order, fewest escapes, no free space; the same texts that
 * fields are written in.
 */
import { oneOf, others } from './code-points.js';
import {
  all,
  any,
  type Expression,
  type Grammar,
  NOTHING,
  rule,
  text,
  times,
} from './expression.js';
import {
  type ArrayNode,
  type Definitions,
  keyText,
  type ObjectNode,
  type SchemaNode,
} from './node.js';
import { numberRules } from './number-rules.js';

/** Any character of a JSON string. */
const CHARACTER = oneOf(others([]), true) ?? NOTHING;
const QUOTE = text('"');
const COMMA = text(',');

const optional = (of: Expression): Expression => times(of, 0, 1);
/** One, and more of them behind commas. */
const listOf = (item: Expression, least: number, most: number): Expression =>
  all(item, times(all(COMMA, item), Math.max(0, least - 1), most - 1));

class RuleWriter {
  readonly rules: Record<string, Expression> = { char: CHARACTER };
  readonly #definitions: Definitions;
  readonly #names = new Map<string, string>();
  #count = 0;

  constructor(definitions: Definitions) {
    this.#definitions = definitions;
  }

  #reserve(): string {
    return `r${this.#count++}`;
  }

  #rule(body: Expression): Expression {
    const name = this.#reserve();
    this.rules[name] = body;
    return rule(name);
  }

  of(node: SchemaNode): Expression {
    switch (node.kind) {
      case 'values':
        return any(node.values.map((value) => text(value.text)));
      case 'string':
        return this.#string(node.minLength, node.maxLength);
      case 'number': {
        const number = numberRules(
          node,
          () => this.#reserve(),
          (name, body) => (this.rules[name] = body),
        );
        return node.orNull ? any([number, text('null')]) : number;
      }
      case 'object':
        return this.#object(node);
      case 'array':
        return this.#array(node);
      case 'any':
        return any(node.branches.map((branch) => this.of(branch)));
      case 'grammar':
        return this.of(node.of);
      case 'text':
        return node.isPlain ? node.expression : all(QUOTE, node.expression, QUOTE);
      case 'reference':
        return this.#reference(node.to);
    }
  }

  #string(minLength: number, maxLength: number): Expression {
    return all(QUOTE, times(rule('char'), minLength, maxLength), QUOTE);
  }

  #reference(to: string): Expression {
    const known = this.#names.get(to);
    if (known !== undefined) return rule(known);
    const name = this.#reserve();
    this.#names.set(to, name);
    const node = this.#definitions.get(to);
    if (node === undefined) throw new RangeError('a reference to nothing');
    this.rules[name] = this.of(node);
    return rule(name);
  }

  /** From the last property to the first: each rule is what may follow, with and without a comma before it. */
  #object({ properties }: ObjectNode): Expression {
    let [first, later] = [NOTHING, NOTHING];
    for (const { name, isRequired, node } of [...properties].reverse()) {
      const own = this.#rule(all(text(keyText(name)), this.of(node), later));
      const asLater = all(COMMA, own);
      first = isRequired ? own : this.#rule(any([own, first]));
      later = isRequired ? asLater : this.#rule(any([asLater, later]));
    }
    return all(text('{'), first, text('}'));
  }

  #array({ prefix, item, minItems, maxItems }: ArrayNode): Expression {
    const head = prefix.slice(0, maxItems).map((one) => this.#rule(this.of(one)));
    const most = maxItems - head.length;
    const least = Math.max(0, minItems - head.length);
    const isMore = item !== undefined && most > 0;
    const more = isMore ? this.#rule(this.of(item)) : NOTHING;
    const listed = (count: number): readonly Expression[] =>
      head.slice(0, count).flatMap((one, i) => (i === 0 ? [one] : [COMMA, one]));
    const ways: Expression[] = [];
    for (let count = minItems; count < head.length; count++) ways.push(all(...listed(count)));
    if (head.length > 0) {
      const rest = isMore ? [times(all(COMMA, more), least, most)] : [];
      ways.push(all(...listed(head.length), ...rest));
    } else {
      if (least === 0) ways.push(NOTHING);
      if (isMore) ways.push(listOf(more, least, most));
    }
    return all(text('['), any(ways), text(']'));
  }

  /** Any object, values nested so deep. */
  anyObject(depth: number): Expression {
    const string = this.#rule(this.#string(0, Infinity));
    const number = this.of({
      ...{ kind: 'number', isInteger: false, orNull: false, isAbove: false, isBelow: false },
      ...{ minimum: -Infinity, maximum: Infinity },
    });
    let value = this.#rule(any([string, number, text('true'), text('false'), text('null')]));
    const anyOf = (item: Expression): Expression => optional(listOf(item, 1, Infinity));
    const objectOf = (of: Expression): Expression =>
      this.#rule(all(text('{'), anyOf(all(string, text(':'), of)), text('}')));
    for (let i = 2; i < depth; i++) {
      const list = all(text('['), anyOf(value), text(']'));
      value = this.#rule(any([value, objectOf(value), list]));
    }
    return objectOf(value);
  }
}

/** A grammar of all that such a node may be. */
export function grammarOf(node: SchemaNode, definitions: Definitions): Grammar {
  const writer = new RuleWriter(definitions);
  return { root: writer.of(node), rules: writer.rules };
}

/** Any JSON object. @param depth of values, its own included */
export function grammarOfAnyObject(depth: number): Grammar {
  const writer = new RuleWriter(new Map());
  return { root: writer.anyObject(depth), rules: writer.rules };
}

/** With what may follow, as texts of which one comes; '' is the end of the answer. */
export function withFollowing({ root, rules }: Grammar, after: readonly string[]): Grammar {
  return { root: all(root, any([...new Set(after)].map(text))), rules };
}
