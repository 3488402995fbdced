/** A number without exponent, inside its bounds, and what must follow it: its last digit is known by what comes next. */
import { type FreeHole, goesOn, type HoleContext } from './free-hole.js';
import type { NumberNode } from './node.js';
import { MaskBuilder } from './text-tokens.js';

/** More digits than a double has say nothing. */
const MOST_DIGITS = 17;
const WHOLE = /^-?(?:0|[1-9]\d*)(?:\.\d+)?$/;
const BEGUN = /^-?(?:(?:0|[1-9]\d*)(?:\.\d*)?)?$/;

/** Numbers from the first to the last of them, so far apart. */
export interface Cell {
  readonly least: number;
  readonly last: number;
  readonly step: number;
}

/** The magnitudes that begin with such digits, as far as {@link MOST_DIGITS} can tell them apart. */
export function cellsOf(digits: string, isInteger: boolean): readonly Cell[] {
  const [whole = '', decimals] = digits.split('.');
  // The last is the number that is written with nines, rounded as that is.
  const nines = (count: number): string => '9'.repeat(count);
  if (decimals !== undefined) {
    const left = MOST_DIGITS - whole.length - decimals.length;
    const least = Number(`${whole}.${decimals}0`);
    const last = Number(`${whole}.${decimals}${nines(left)}`);
    return [{ least, last, step: 10 ** (whole.length - MOST_DIGITS) }];
  }
  const longest = whole === '0' ? 0 : MOST_DIGITS - whole.length;
  return Array.from({ length: longest + 1 }, (_, more) => {
    const own = whole === '' && more === 0 ? '0' : whole + nines(more);
    const left = isInteger ? 0 : MOST_DIGITS - own.length;
    const least = whole === '' ? (more === 0 ? 0 : 10 ** (more - 1)) : Number(whole) * 10 ** more;
    return { least, last: Number(`${own}.${nines(left)}0`), step: 10 ** -left };
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
  return signs.some((sign) => {
    const bounds = sign > 0 ? node : mirrored(node);
    return cellsOf(digits, isInteger).some((cell) => meets(cell, bounds));
  });
}

/** The same bounds seen from below zero, as far as they are below: -0 is no number here. */
function mirrored(node: NumberNode): NumberNode {
  const isZero = node.maximum >= 0;
  return {
    ...node,
    ...{ minimum: isZero ? 0 : -node.maximum, isAbove: isZero || node.isBelow },
    ...{ maximum: -node.minimum, isBelow: node.isAbove },
  };
}

/** Whether one of the numbers lies inside the bounds: surely one where there is room for several, else an end. */
function meets({ least, last, step }: Cell, node: NumberNode): boolean {
  if (isWithin(least, node) || isWithin(last, node)) return true;
  const [low, high] = [Math.max(least, node.minimum), Math.min(last, node.maximum)];
  if (high - low > step + 4 * Number.EPSILON * high) return true;
  return low <= high ? isWithin(Math.ceil(low / step) * step, node) : false;
}

/** Where the numbers that begin with such a text lie. */
export function isWithinCell(cell: Cell, text: string, node: NumberNode): 'in' | 'out' | 'partly' {
  const bounds = text.startsWith('-') ? mirrored(node) : node;
  if (isWithin(cell.least, bounds) && isWithin(cell.last, bounds)) return 'in';
  return meets(cell, bounds) ? 'partly' : 'out';
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
