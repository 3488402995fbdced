/** Sets of Unicode's characters as ranges, and how one of them is written in a JSON string. */
import { any, type CodePoints, type Expression, text } from './expression.js';

const MOST = 0x10ffff;
const SURROGATES: CodePoints = [[0xd800, 0xdfff]];

export function unionOf(sets: readonly CodePoints[]): CodePoints {
  const sorted = sets.flat().sort(([a], [b]) => a - b);
  const joined: [number, number][] = [];
  for (const [first, last] of sorted) {
    const before = joined.at(-1);
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else joined.push([first, last]);
  }
  return joined;
}

export function without(set: CodePoints, less: CodePoints): CodePoints {
  return less.reduce<CodePoints>(
    (left, [first, last]) =>
      left.flatMap(([a, b]): CodePoints => {
        if (b < first || a > last) return [[a, b]];
        const kept: [number, number][] = [];
        if (a < first) kept.push([a, first - 1]);
        if (b > last) kept.push([last + 1, b]);
        return kept;
      }),
    set,
  );
}

export const others = (set: CodePoints): CodePoints =>
  without([[0, MOST]], unionOf([set, SURROGATES]));

export const charactersOf = (own: string): CodePoints =>
  unionOf(
    Array.from(own, (one): CodePoints => {
      const point = one.codePointAt(0) ?? 0;
      return [[point, point]];
    }),
  );

/** What a JSON string writes with a backslash. */
const ESCAPED: CodePoints = unionOf([[[0, 0x1f]], charactersOf('"\\')]);
const UNESCAPED = others(ESCAPED);
/** Not in a text that stands alone: nobody means them. */
const CONTROL: CodePoints = [
  [0, 8],
  [0xb, 0xc],
  [0xe, 0x1f],
];

/** One of the characters; undefined: there is none. @param isJson whether it stands in a JSON string */
export function oneOf(given: CodePoints, isJson: boolean): Expression | undefined {
  const set = without(given, SURROGATES);
  const plain = without(set, isJson ? ESCAPED : CONTROL);
  const escaped = isJson ? without(set, UNESCAPED) : [];
  const ways: Expression[] = plain.length > 0 ? [{ set: plain }] : [];
  for (const [first, last] of escaped) {
    for (let point = first; point <= last; point++) {
      ways.push(text(JSON.stringify(String.fromCodePoint(point)).slice(1, -1)));
    }
  }
  return ways.length === 0 ? undefined : any(ways);
}
