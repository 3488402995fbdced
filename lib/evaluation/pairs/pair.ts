/** Two pictures, and whether they show the same person. */

export interface Pair {
  /** As written, normalised. */
  readonly first: string;
  readonly second: string;
  readonly isGenuine: boolean;
}

/** A pair as a list has it. */
export interface ListedPair extends Pair {
  /** Of its file, counted from 1. */
  readonly line: number;
}

/** The same for both orders of the two pictures. */
export function pairKey({ first, second }: Pick<Pair, 'first' | 'second'>): string {
  return first < second ? `${first}|${second}` : `${second}|${first}`;
}
