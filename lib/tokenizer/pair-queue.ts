/**
 * Pairs of tokens by count, the highest first; of equal counts the pair with the smaller ids, left before right:
 * the order in which Hugging Face's BpeTrainer takes them. A binary heap over flat arrays.
 */

/** Ids stay below this, so that a pair fits the exact integers of a double. */
const ID_LIMIT = 2 ** 24;

/** A pair as one number; numbers sort as (left, right) do. */
export function pairKey(left: number, right: number): number {
  return left * ID_LIMIT + right;
}

export function pairOf(key: number): readonly [number, number] {
  return [Math.floor(key / ID_LIMIT), key % ID_LIMIT];
}

export interface CountedPair {
  readonly key: number;
  readonly count: number;
}

function isBefore(a: CountedPair, b: CountedPair): boolean {
  return a.count === b.count ? a.key < b.key : a.count > b.count;
}

export class PairQueue {
  readonly #heap: CountedPair[] = [];

  push(pair: CountedPair): void {
    const heap = this.#heap;
    let place = heap.length;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !isBefore(pair, above)) break;
      heap[place] = above;
      place = parent;
    }
    heap[place] = pair;
  }

  pop(): CountedPair | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return first;
    let place = 0;
    for (;;) {
      const [left, right] = [heap[2 * place + 1], heap[2 * place + 2]];
      if (left === undefined) break;
      const isRight = right !== undefined && isBefore(right, left);
      const child = isRight ? right : left;
      if (!isBefore(child, last)) break;
      heap[place] = child;
      place = 2 * place + (isRight ? 2 : 1);
    }
    heap[place] = last;
    return first;
  }
}
