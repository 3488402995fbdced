/** Ranges of characters as ranges of the bytes that UTF-8 writes them in. */
import type { CodePoints } from './expression.js';

export type ByteRange = readonly [least: number, most: number];

/** The last characters of one, two and three bytes. */
const LENGTHS = [0x7f, 0x7ff, 0xffff, 0x10ffff];

const bytesOf = (point: number): Uint8Array => Buffer.from(String.fromCodePoint(point));

/** @returns sequences of byte ranges, one of which a character of the set has */
export function utf8Ranges(set: CodePoints): readonly (readonly ByteRange[])[] {
  const found: ByteRange[][] = [];
  const open = [...set];
  for (let range = open.pop(); range !== undefined; range = open.pop()) {
    const [first, last] = range;
    const border = LENGTHS.find((end) => first <= end && last > end);
    if (border !== undefined) {
      open.push([first, border], [border + 1, last]);
      continue;
    }
    // Bytes behind the first in which they differ must go all the way.
    const split = [6, 12, 18]
      .map((bits) => (1 << bits) - 1)
      .find((low) => {
        const isWithin = (first & ~low) === (last & ~low);
        return last > 0x7f && !isWithin && ((first & low) !== 0 || (last & low) !== low);
      });
    if (split === undefined) {
      const [low, high] = [bytesOf(first), bytesOf(last)];
      found.push(Array.from(low, (byte, i): ByteRange => [byte, high[i] ?? byte]));
    } else if ((first & split) !== 0) {
      open.push([first, first | split], [(first | split) + 1, last]);
    } else open.push([first, (last & ~split) - 1], [last & ~split, last]);
  }
  return found;
}
