/**
 * `pattern` and `regex`: JavaScript's regular expressions to a grammar's expression. What cannot be told letter by letter (looking
 * around, references back, edges of words) is refused by name.
 */
import { charactersOf, oneOf, others, unionOf } from './code-points.js';
import { all, any, type CodePoints, type Expression, NOTHING, times } from './expression.js';

export type PatternResult =
  | { readonly expression: Expression }
  | { readonly kind: 'invalid' | 'unsupported' | 'complex'; readonly expected: string };

const MOST_CHARACTERS = 256;
/** Of the pattern written out, each repetition as often as it may come. */
const MOST_PARTS = 20_000;

const range = (first: string, last: string): CodePoints => [
  [first.codePointAt(0) ?? 0, last.codePointAt(0) ?? 0],
];
const DIGITS = range('0', '9');
const WORD = unionOf([DIGITS, range('a', 'z'), range('A', 'Z'), charactersOf('_')]);
const SPACE = unionOf([
  charactersOf(' \t\n\v\f\r\u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff'),
  range('\u2000', '\u200a'),
]);
const ANY = others([]);
const CLASSES: Readonly<Record<string, CodePoints>> = {
  ...{ d: DIGITS, D: others(DIGITS), w: WORD, W: others(WORD), s: SPACE, S: others(SPACE) },
};
const CONTROLS: Readonly<Record<string, string>> = { t: '\t', n: '\n', v: '\v', f: '\f', r: '\r' };
/** Characters of a line: what a dot stands for. */
const LINE = others(charactersOf('\n\r\u2028\u2029'));

class Refusal extends Error {
  readonly kind: 'invalid' | 'unsupported' | 'complex';

  constructor(kind: 'invalid' | 'unsupported' | 'complex', expected: string) {
    super(expected);
    this.kind = kind;
  }
}

interface Part {
  readonly expression: Expression;
  readonly size: number;
}

/**
 * @param isJson whether the text stands in a JSON string
 * @param isWhole whether the pattern is of the whole text, as `regex` has it; else it is looked for anywhere, as `pattern` has it
 */
export function readPattern(pattern: unknown, isJson: boolean, isWhole = false): PatternResult {
  if (typeof pattern !== 'string') return { kind: 'invalid', expected: 'a regular expression' };
  if (pattern.length > MOST_CHARACTERS) {
    return { kind: 'complex', expected: `at most ${MOST_CHARACTERS} characters` };
  }
  try {
    new RegExp(pattern, 'u');
  } catch {
    return { kind: 'invalid', expected: 'a regular expression (of flag u)' };
  }
  try {
    return { expression: new PatternReader(pattern, isJson, isWhole).read() };
  } catch (error) {
    if (error instanceof Refusal) return { kind: error.kind, expected: error.message };
    throw error;
  }
}

/** A pattern of the whole text of a JSON string; one that is known to be one. */
export const wholePattern = (pattern: string): Expression =>
  new PatternReader(pattern, true, true).read();

/** Of a pattern that is one: faults of its grammar are found before. */
class PatternReader {
  readonly #points: readonly string[];
  readonly #isJson: boolean;
  readonly #isWhole: boolean;
  /** Of classes that are met again. */
  readonly #sets = new Map<CodePoints, Expression>();
  #at = 0;
  #depth = 0;

  constructor(pattern: string, isJson: boolean, isWhole: boolean) {
    this.#points = Array.from(pattern);
    this.#isJson = isJson;
    this.#isWhole = isWhole;
  }

  read(): Expression {
    const ways: Expression[] = [];
    const most = times(this.#one(ANY), 0, Infinity);
    do {
      const isFirst = this.#take('^') || this.#isWhole;
      const { expression } = this.#sequence();
      const isLast = this.#take('$') || this.#isWhole;
      if (this.#at < this.#points.length && this.#peek() !== '|') this.#refuseAnchor();
      ways.push(all(...(isFirst ? [] : [most]), expression, ...(isLast ? [] : [most])));
    } while (this.#take('|'));
    return any(ways);
  }

  #peek(): string {
    return this.#points[this.#at] ?? '';
  }

  #take(text: string): boolean {
    const isNext = this.#points.slice(this.#at, this.#at + text.length).join('') === text;
    if (isNext) this.#at += text.length;
    return isNext;
  }

  #refuseAnchor(): never {
    throw new Refusal('unsupported', '^ and $ at the ends of the pattern or of its alternatives');
  }

  #alternatives(): Part {
    const ways: Part[] = [];
    do ways.push(this.#sequence());
    while (this.#take('|'));
    return {
      expression: any(ways.map((way) => way.expression)),
      size: ways.reduce((sum, { size }) => sum + size, 0),
    };
  }

  #sequence(): Part {
    const parts: Part[] = [];
    for (let next = this.#peek(); next !== '' && !'|)$'.includes(next); next = this.#peek()) {
      parts.push(this.#quantified());
    }
    const size = parts.reduce((sum, part) => sum + part.size, 0);
    if (parts.length === 0) return { expression: NOTHING, size };
    return { expression: all(...parts.map(({ expression }) => expression)), size };
  }

  #quantified(): Part {
    const atom = this.#atom();
    const quantifier = this.#quantifier();
    if (quantifier === undefined) return atom;
    const [least, most] = quantifier;
    // What is empty is written as often as what is not.
    const size = Math.max(1, atom.size) * Math.max(1, most === Infinity ? least + 1 : most);
    if (size > MOST_PARTS) {
      throw new Refusal('complex', `repetitions that come to at most ${MOST_PARTS} characters`);
    }
    return { expression: times(atom.expression, least, most), size };
  }

  #quantifier(): readonly [least: number, most: number] | undefined {
    let found: readonly [number, number] | undefined;
    if (this.#take('*')) found = [0, Infinity];
    else if (this.#take('+')) found = [1, Infinity];
    else if (this.#take('?')) found = [0, 1];
    else {
      const rest = this.#points.slice(this.#at).join('');
      const [whole = '', least = '', comma, most = ''] = /^\{(\d+)(,?)(\d*)\}/.exec(rest) ?? [];
      if (whole === '') return undefined;
      this.#at += whole.length;
      const end = comma === '' ? Number(least) : most === '' ? Infinity : Number(most);
      found = [Number(least), end];
    }
    // As many or as few as may be: the same texts.
    this.#take('?');
    return found;
  }

  #atom(): Part {
    if (this.#take('(')) return this.#group();
    if (this.#take('[')) return this.#part(this.#class());
    if (this.#take('.')) return this.#part(LINE);
    if (this.#take('\\')) return this.#part(this.#escape());
    if (this.#peek() === '^') this.#refuseAnchor();
    const [own = ''] = this.#points.slice(this.#at++, this.#at);
    return this.#part(charactersOf(own));
  }

  #group(): Part {
    if (++this.#depth > 32) throw new Refusal('complex', 'groups nested at most 32 deep');
    if (this.#take('?')) {
      const isNamed = this.#peek() === '<' && !'=!'.includes(this.#points[this.#at + 1] ?? '');
      if (isNamed) while (this.#points[this.#at++] !== '>');
      else if (!this.#take(':')) throw new Refusal('unsupported', 'no look-around, and no flags');
    }
    const group = this.#alternatives();
    if (!this.#take(')')) this.#refuseAnchor();
    this.#depth--;
    return group;
  }

  #class(): CodePoints {
    const isOthers = this.#take('^');
    const sets: CodePoints[] = [];
    while (!this.#take(']')) {
      const first = this.#member();
      const [only] = first;
      const isRange = this.#peek() === '-' && this.#points[this.#at + 1] !== ']';
      if (isRange && only !== undefined) {
        this.#at++;
        const [end] = this.#member();
        sets.push([[only[0], end?.[1] ?? only[1]]]);
      } else sets.push(first);
    }
    const set = unionOf(sets);
    return isOthers ? others(set) : set;
  }

  #member(): CodePoints {
    if (this.#take('\\')) return this.#escape(true);
    const [own = ''] = this.#points.slice(this.#at++, this.#at);
    return charactersOf(own);
  }

  /** What stands behind a backslash. */
  #escape(isMember = false): CodePoints {
    const letter = this.#points[this.#at++] ?? '';
    const known = CLASSES[letter];
    if (known !== undefined) return known;
    const control = CONTROLS[letter];
    if (control !== undefined) return charactersOf(control);
    if (letter === 'b' && isMember) return charactersOf('\b');
    if (letter === 'x' || letter === 'u') return this.#numbered(letter);
    if (/[A-Za-z0-9]/.test(letter)) {
      const what = 'no edges of words, references back, properties or control letters';
      throw new Refusal('unsupported', `${what} (\\${letter})`);
    }
    return charactersOf(letter);
  }

  #numbered(letter: string): CodePoints {
    const rest = this.#points.slice(this.#at).join('');
    const form = letter === 'x' ? /^([\da-f]{2})/i : /^(?:\{([\da-f]+)\}|([\da-f]{4}))/i;
    const [whole = '', a = '', b = ''] = form.exec(rest) ?? [];
    const point = Number.parseInt(a + b, 16);
    if (point >= 0xd800 && point <= 0xdfff) {
      throw new Refusal('unsupported', 'whole characters, \\u{...}, no halves of them');
    }
    this.#at += whole.length;
    return [[point, point]];
  }

  #one(set: CodePoints): Expression {
    const expression = this.#sets.get(set) ?? oneOf(set, this.#isJson);
    if (expression === undefined) throw new Refusal('invalid', 'a pattern that some text has');
    this.#sets.set(set, expression);
    return expression;
  }

  #part(set: CodePoints): Part {
    return { expression: this.#one(set), size: 1 };
  }
}
