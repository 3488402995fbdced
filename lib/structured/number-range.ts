/** The numbers between bounds: each of them where they are few whole ones, else what is known of all. */
import type { NumberNode } from './node.js';

/** Whole numbers that are chosen among as values. */
export const MOST_INTEGERS = 512;

/** Infinite where there is none. The first and third are among the numbers, the others are not. */
export interface Bounds {
  readonly least: number;
  readonly above: number;
  readonly most: number;
  readonly below: number;
}

/** @returns undefined where there is no number between the bounds */
export function numberRange(
  isInteger: boolean,
  { least, above, most, below }: Bounds,
): NumberNode | readonly number[] | undefined {
  const isAbove = above >= least && above > -Infinity;
  const isBelow = below <= most && below < Infinity;
  const [minimum, maximum] = [Math.max(least, above), Math.min(most, below)];
  if (!isInteger) {
    const isEmpty = minimum > maximum || (minimum === maximum && (isAbove || isBelow));
    const bounds = { minimum, maximum, isAbove, isBelow };
    return isEmpty ? undefined : { kind: 'number', isInteger, orNull: false, ...bounds };
  }
  const first = Math.floor(minimum) + Number(!Number.isInteger(minimum) || isAbove);
  const last = Math.ceil(maximum) - Number(!Number.isInteger(maximum) || isBelow);
  if (first > last) return undefined;
  if (last - first < MOST_INTEGERS) {
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  }
  const bounds = { minimum: first, maximum: last, isAbove: false, isBelow: false };
  return { kind: 'number', isInteger, orNull: false, ...bounds };
}
