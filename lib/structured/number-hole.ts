/** A number without exponent, inside its bounds, and what must follow it: its last digit is known by what comes next. */
import { type FreeHole, goesOn, type HoleContext } from './free-hole.js';
import type { NumberNode } from './node.js';
import { MaskBuilder } from './text-tokens.js';

/** More digits than a double has say nothing. */
const MOST_DIGITS = 17;
const WHOLE = /^-?(?:0|[1-9]\d*)(?:\.\d+)?$/;
const BEGUN = /^-?(?:(?:0|[1-9]\d*)(?:\.\d*)?)?$/;

/**
 * The magnitudes that begin with such digits, from the first to the second; the second itself is one of them only for whole
 * numbers.
 */
function rangesOf(digits: string, isInteger: boolean): readonly (readonly [number, number])[] {
  const [whole = '', decimals] = digits.split('.');
  if (decimals !== undefined) {
    const least = Number(`${whole}.${decimals === '' ? '0' : decimals}`);
    return [[least, least + 10 ** -decimals.length]];
  }
  const longest = whole === '0' ? 0 : MOST_DIGITS - whole.length;
  return Array.from({ length: longest + 1 }, (_, more) => {
    const least = whole === '' ? (more === 0 ? 0 : 10 ** (more - 1)) : Number(whole) * 10 ** more;
    const end = whole === '' ? 10 ** more : (Number(whole) + 1) * 10 ** more;
    return [least, isInteger ? end - 1 : end] as const;
  });
}

function isWithin(value: number, { minimum, maximum, isAbove, isBelow }: NumberNode): boolean {
  if (isAbove ? value <= minimum : value < minimum) return false;
  return isBelow ? value < maximum : value <= maximum;
}

export function isNumber(text: string, node: NumberNode): boolean {
  if (!WHOLE.test(text) || /^-0(?:\.0*)?$/.test(text)) return false;
  if (node.isInteger && text.includes('.')) return false;
  return isWithin(Number(text), node);
}

/** Whether some number inside the bounds begins so. */
export function beginsNumber(text: string, node: NumberNode): boolean {
  const { isInteger } = node;
  if (!BEGUN.test(text) || (isInteger && (text.includes('.') || text === '-0'))) return false;
  const digits = text.replace('-', '');
  const count = digits.replace('.', '').length;
  // A point needs a digit behind it.
  if (count > MOST_DIGITS - Number(digits.endsWith('.'))) return false;
  const signs = text === '' ? [1, -1] : [text.startsWith('-') ? -1 : 1];
  return signs.some((sign) =>
    rangesOf(digits, isInteger).some(([least, end]) => {
      // -0 is none: what is negative is below zero.
      if (sign < 0 && isInteger && end === 0) return false;
      return sign > 0 ? meets(least, end, node) : meets(least, end, mirrored(node));
    }),
  );
}

/** The same bounds, seen from below zero. */
function mirrored(node: NumberNode): NumberNode {
  return {
    ...node,
    ...{ minimum: -node.maximum, maximum: -node.minimum },
    ...{ isAbove: node.isBelow, isBelow: node.isAbove },
  };
}

function meets(least: number, end: number, node: NumberNode): boolean {
  const { minimum, maximum, isBelow, isInteger } = node;
  if (isInteger) return least <= maximum && end >= minimum;
  return (isBelow ? least < maximum : least <= maximum) && end > minimum;
}

export class NumberHole implements FreeHole {
  readonly #node: NumberNode;
  readonly #context: HoleContext;
  #text = '';
  #isClosed = false;

  constructor(node: NumberNode, context: HoleContext) {
    this.#node = node;
    this.#context = context;
  }

  get text(): string {
    return this.#text;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  mask(): Uint32Array {
    const { tokens, vocabSize, after } = this.#context;
    const mask = new MaskBuilder(vocabSize);
    const firsts = new Set(Buffer.from('-.0123456789nul'));
    for (const text of after) firsts.add(Buffer.from(text)[0] ?? 0);
    for (const first of firsts) {
      for (const place of tokens.beginningWith(first)) {
        const text = Buffer.from(tokens.bytes[place] ?? []).toString('latin1');
        if (this.#split(text) !== undefined) mask.allow(tokens.ids[place] ?? 0);
      }
    }
    return mask.words;
  }

  take(bytes: Uint8Array): void {
    const split = this.#split(Buffer.from(bytes).toString('latin1'));
    if (split === undefined) return;
    this.#text += split.own;
    this.#isClosed = split.rest !== '';
  }

  /** What of a token is the number's; undefined where it may not come. */
  #split(token: string): { readonly own: string; readonly rest: string } | undefined {
    const { after } = this.#context;
    const length = /^[-.\dnul]*/.exec(token)?.[0].length ?? 0;
    const [own, rest] = [token.slice(0, length), token.slice(length)];
    const text = this.#text + own;
    const isNull = this.#node.orNull && 'null'.startsWith(text) && text !== '';
    if (rest === '') {
      return isNull || beginsNumber(text, this.#node) ? { own, rest } : undefined;
    }
    const isWhole = (isNull && text === 'null') || isNumber(text, this.#node);
    return isWhole && goesOn(rest, after) ? { own, rest } : undefined;
  }
}
