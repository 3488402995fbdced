/**
 * Pairs drawn from pictures of known people, evenly among all that there are, without listing them: every ordered
 * pair has a number, numbers are drawn, and a pair is made from its number.
 */
import { randomIntegers } from '../metrics/random.js';
import { type Pair, pairKey } from './pair.js';

export interface IdentifiedPicture {
  readonly file: string;
  readonly identity: string;
  /** Impostor pairs are drawn among pictures of the same pool. */
  readonly pool: string;
}

export interface DrawOptions {
  readonly pictures: readonly IdentifiedPicture[];
  /** How many pairs of one person, at most. */
  readonly genuine: number;
  /** How many pairs of two people, at most. */
  readonly impostor: number;
  readonly seed: number;
}

/** Half-open ranges of the sorted pictures. */
interface Range {
  readonly start: number;
  readonly end: number;
}

/** Partners of one picture: `within` less `without`, which lies inside it. */
interface Partners {
  readonly within: Range;
  readonly without: Range;
}

function partnerCount({ within, without }: Partners): number {
  return within.end - within.start - (without.end - without.start);
}

/** Runs of pictures that share a key; they stand together. */
function rangesOf(
  pictures: readonly IdentifiedPicture[],
  keyOf: (picture: IdentifiedPicture) => string,
): Range[] {
  const ranges: Range[] = [];
  let start = 0;
  for (const [i, picture] of pictures.entries()) {
    const next = pictures[i + 1];
    if (next !== undefined && keyOf(next) === keyOf(picture)) continue;
    const range = { start, end: i + 1 };
    for (let k = start; k <= i; k++) ranges[k] = range;
    start = i + 1;
  }
  return ranges;
}

interface PairSpace {
  readonly total: number;
  /** Indices of the two pictures of pair `rank`. */
  readonly at: (rank: number) => readonly [number, number];
}

/** The ordered pairs of pictures with their partners, numbered from 0. */
function pairSpace(partners: readonly Partners[]): PairSpace {
  let total = 0;
  const starts = partners.map((one) => (total += partnerCount(one)) - partnerCount(one));
  const at = (rank: number): readonly [number, number] => {
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((starts[middle] ?? Infinity) <= rank) low = middle;
      else high = middle - 1;
    }
    const { within, without } = partners[low] as Partners;
    const place = within.start + rank - (starts[low] ?? 0);
    return [low, place < without.start ? place : place + without.end - without.start];
  };
  return { total, at };
}

type Below = (bound: number) => number;

/** Up to `count` different unordered pairs of a space that holds both orders of each. */
function drawFrom(space: PairSpace, count: number, below: Below): (readonly [number, number])[] {
  const available = space.total / 2;
  const sorted = ([a, b]: readonly [number, number]): readonly [number, number] =>
    a < b ? [a, b] : [b, a];
  // Where most pairs are wanted, drawing until new ones turn up would not end: take all and leave some out.
  if (count > available / 2) {
    const all = Array.from({ length: space.total }, (_, rank) => space.at(rank)).filter(
      ([a, b]) => a < b,
    );
    for (let i = 0; i < Math.min(count, all.length - 1); i++) {
      const k = i + below(all.length - i);
      [all[i], all[k]] = [all[k] as readonly [number, number], all[i] as readonly [number, number]];
    }
    return all.slice(0, count);
  }
  const drawn = new Map<string, readonly [number, number]>();
  while (drawn.size < count) {
    const pair = sorted(space.at(below(space.total)));
    drawn.set(pair.join(), pair);
  }
  return [...drawn.values()];
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * Fewer pairs than asked for where there are no more. Sorted by their pictures, both kinds mixed, so that a picture's
 * pairs follow each other and the first pairs are of both kinds; the order of the pictures given does not matter.
 */
export function drawPairs({ pictures, genuine, impostor, seed }: DrawOptions): readonly Pair[] {
  const below = randomIntegers(seed);
  const byIdentity = [...pictures].sort(
    (a, b) => compare(a.identity, b.identity) || compare(a.file, b.file),
  );
  const people = rangesOf(byIdentity, ({ identity }) => identity);
  const samePerson = pairSpace(
    people.map((within, i) => ({ within, without: { start: i, end: i + 1 } })),
  );
  // Within a pool people stand together too.
  const byPool = [...byIdentity].sort((a, b) => compare(a.pool, b.pool));
  const pools = rangesOf(byPool, ({ pool }) => pool);
  const inPool = rangesOf(byPool, ({ pool, identity }) => JSON.stringify([pool, identity]));
  const twoPeople = pairSpace(pools.map((within, i) => ({ within, without: inPool[i] as Range })));
  const named = (
    from: readonly IdentifiedPicture[],
    indices: readonly (readonly [number, number])[],
    isGenuine: boolean,
  ): Pair[] =>
    indices
      .map(([a, b]) => [from[a]?.file ?? '', from[b]?.file ?? ''].sort())
      .map(([first = '', second = '']) => ({ first, second, isGenuine }));
  return [
    ...named(byIdentity, drawFrom(samePerson, genuine, below), true),
    ...named(byPool, drawFrom(twoPeople, impostor, below), false),
  ].sort((a, b) => compare(pairKey(a), pairKey(b)));
}
