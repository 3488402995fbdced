/** Writes one answer by a schema: literal text as it is, values by their exact probabilities, free text token by token. */
import {
  branchWays,
  END,
  type FreeHole,
  type GrammarNode,
  itemOf,
  itemWays,
  type Json,
  keyText,
  NumberHole,
  propertyWays,
  type NumberNode,
  type SchemaNode,
  StringHole,
  type StringNode,
  type Texts,
  textTokens,
  type ValuesNode,
  type Way,
} from '../../structured/index.js';
import { InvalidArgumentError } from '../../errors.js';
import { type Drawing, pick, seedOf } from './draw.js';
import type { FieldsContext } from './engine-context.js';
import { describeChoice, type ExtractedField } from './extracted-field.js';
import { fillHole } from './fill-hole.js';
import { GrammarHole } from './grammar-hole.js';
import { logProbOfAny, scoreWays, settledBy, type WayText } from './score-ways.js';

/** The next part of a JSON pointer. */
const stepOf = (name: string): string => `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;

export class FieldWriter {
  readonly fields: ExtractedField[] = [];
  /** In NFC. */
  text = '';
  /** Tokens that were chosen or drawn; the others were given. */
  chosenTokens = 0;
  readonly #context: FieldsContext;
  readonly #drawing: Drawing;
  readonly #push: (text: string) => void;
  #holes = 0;

  /** @param push receives the text as it is settled */
  constructor(context: FieldsContext, drawing: Drawing, push: (text: string) => void) {
    this.#context = context;
    this.#drawing = drawing;
    this.#push = push;
  }

  /** @throws OutOfTokens */
  write(node: SchemaNode): Promise<Json> {
    return this.#write(node, '', () => ['']);
  }

  /** A value that is the whole answer, without quotes. @throws OutOfTokens */
  async choose(texts: readonly string[]): Promise<string> {
    const values = texts.map((text) => ({ value: text, text: text.normalize('NFC') }));
    const chosen = await this.#values({ kind: 'values', values }, '', () => [''], false);
    return typeof chosen === 'string' ? chosen : '';
  }

  #put(text: string): void {
    const whole = (this.text + text).normalize('NFC');
    this.#push(whole.slice(this.text.length));
    this.text = whole;
  }

  async #write(node: SchemaNode, path: string, after: Texts): Promise<Json> {
    switch (node.kind) {
      case 'values':
        return this.#values(node, path, after, true);
      case 'object':
        return this.#object(node, path, after);
      case 'array':
        return this.#array(node, path, after);
      case 'any': {
        const branch = await this.#way(branchWays(node, after));
        const chosen = node.branches[branch];
        return chosen === undefined ? null : this.#write(chosen, path, after);
      }
      case 'grammar':
      case 'string':
      case 'number':
        return this.#free(node, path, after);
      default:
        throw new RangeError(`a ${node.kind} is part of a grammar`);
    }
  }

  async #object(
    node: Extract<SchemaNode, { kind: 'object' }>,
    path: string,
    after: Texts,
  ): Promise<Json> {
    this.#put('{');
    const written: Record<string, Json> = {};
    let isFirst = true;
    for (let next = 0; ; isFirst = false) {
      const target = await this.#way(propertyWays(node, next, isFirst, after));
      const property = node.properties[target];
      if (property === undefined) break;
      const { name } = property;
      this.#put((isFirst ? '' : ',') + keyText(name));
      next = target + 1;
      const value = await this.#write(property.node, path + stepOf(name), () =>
        propertyWays(node, next, false, after).map(({ text }) => text),
      );
      // A name like __proto__ is a name like others.
      Object.defineProperty(written, name, {
        ...{ value, enumerable: true, writable: true, configurable: true },
      });
    }
    this.#put('}');
    return written;
  }

  async #array(
    node: Extract<SchemaNode, { kind: 'array' }>,
    path: string,
    after: Texts,
  ): Promise<Json> {
    this.#put('[');
    const written: Json[] = [];
    for (;;) {
      const i = written.length;
      const target = await this.#way(itemWays(node, i, after));
      const item = target === END ? undefined : itemOf(node, i);
      if (item === undefined) break;
      if (i > 0) this.#put(',');
      written.push(
        await this.#write(item, `${path}/${i}`, () =>
          itemWays(node, i + 1, after).map(({ text }) => text),
        ),
      );
    }
    this.#put(']');
    return written;
  }

  /** Which property, item or branch comes next; nothing is asked where there is one way. */
  async #way(ways: readonly Way[]): Promise<number> {
    const targets = [...new Set(ways.map(({ target }) => target))];
    const [only = END] = targets;
    if (targets.length === 1) return only;
    const texts = ways.map(({ text, target }): WayText => {
      const others = ways.filter((other) => other.target !== target);
      return {
        text,
        settledBy: settledBy(
          text,
          others.map((other) => other.text),
        ),
      };
    });
    const scores = await scoreWays(this.#context, this.text, texts);
    const sums = targets.map((target) =>
      logProbOfAny(scores.filter((_, i) => ways[i]?.target === target)),
    );
    return targets[pick(sums, this.#holes++, this.#drawing)] ?? END;
  }

  /** @param isJson whether texts close themselves as JSON's do */
  async #values(
    { values }: ValuesNode,
    path: string,
    after: Texts,
    isJson: boolean,
  ): Promise<Json> {
    const [only] = values;
    if (only !== undefined && values.length === 1) {
      this.#put(only.text);
      return only.value;
    }
    const ends = [...new Set(after())];
    const ways = values.flatMap(({ text }, value) =>
      ends.map((end) => {
        const closesItself = isJson && /["\]}]$/.test(text);
        return {
          value,
          text: text + end,
          settledBy: Buffer.byteLength(text) + Number(!closesItself),
        };
      }),
    );
    const scores = await scoreWays(this.#context, this.text, ways);
    const ofValue = values.map((_, value) => scores.filter((__, i) => ways[i]?.value === value));
    const logProbs = ofValue.map(logProbOfAny);
    const place = pick(logProbs, this.#holes++, this.#drawing);
    const chosen = values[place];
    if (chosen === undefined) throw new RangeError('there is no value to choose');
    this.fields.push(
      describeChoice(
        path,
        values.map(({ value }) => value),
        logProbs,
        place,
      ),
    );
    this.chosenTokens += ofValue[place]?.[0]?.tokens ?? 0;
    this.#put(chosen.text);
    return chosen.value;
  }

  async #free(
    node: StringNode | NumberNode | GrammarNode,
    path: string,
    after: Texts,
  ): Promise<Json> {
    const lead = node.kind === 'string' ? '"' : node.kind === 'grammar' ? node.lead : '';
    if (lead !== '') this.#put(lead);
    const hole = this.#hole(node, after());
    const seed = seedOf(this.#drawing.seed, this.#holes++);
    const { logProb, mass, tokens } = await fillHole(this.#context, this.text, hole, seed);
    this.chosenTokens += tokens;
    const text = hole.text.normalize('NFC');
    if (node.kind === 'grammar' && text !== hole.text) await this.#checkNormal(node, lead + text);
    const isPlain = node.kind === 'grammar' && node.of.kind === 'text' && node.of.isPlain;
    const value = isPlain ? text : (JSON.parse(lead + text) as Json);
    const probability = mass > 0 ? Math.min(1, Math.exp(logProb) / mass) : 0;
    this.fields.push({ path, value, logProb, probability, mass, alternatives: [] });
    this.#put(text);
    return value;
  }

  /** A pattern may tell a letter with a mark from the same in one character. @throws InvalidArgumentError */
  async #checkNormal({ grammar }: GrammarNode, text: string): Promise<void> {
    if (await this.#context.grammars.matches(grammar, text, this.#context)) return;
    throw new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', 'the schema cannot be held to', {
      details: [
        "schema: a text of one of its patterns is none any more in Unicode's normal form NFC, which answers are in; let the pattern take composed characters",
      ],
    });
  }

  #hole(node: StringNode | NumberNode | GrammarNode, after: readonly string[]): FreeHole {
    const { tokenizer, vocabSize, grammars, eosIds } = this.#context;
    const context = { tokens: textTokens(tokenizer), vocabSize, after };
    if (node.kind === 'grammar') {
      return new GrammarHole(node, context, grammars, eosIds, this.#context);
    }
    return node.kind === 'string' ? new StringHole(node, context) : new NumberHole(node, context);
  }
}
