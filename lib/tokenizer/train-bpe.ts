/**
 * Learns a byte-level BPE vocabulary from texts (Sennrich et al. 2016, section 3.2) over Qwen2's pre-tokenisation.
 * Alphabet, ids and the order of ties are those of Hugging Face's BpeTrainer, so that results can be compared
 * (test/golden/tokenizer-training.test.ts): the 256 byte characters by code point, then merges in the order learnt; of
 * pairs that occur equally often the one with the smaller ids, left before right.
 *
 * Two facts keep this simple. What happens inside a stretch of characters that becomes one token does not depend on
 * what is around it, so a token arises from one pair only and each merge adds one entry. And since a merge is made
 * everywhere at once, a pair is born in one step: from then on its count only falls, and a queue may hold old counts.
 */
import { InvalidArgumentError } from '../errors.js';
import { CHARACTER_OF_BYTE, preTokenise } from './byte-level.js';
import { pairKey, pairOf, PairQueue } from './pair-queue.js';

export interface TrainBpeOptions {
  /** Without control tokens: what stands in a text is learnt as text. */
  readonly texts: Iterable<string>;
  /** Entries at most, the 256 bytes among them. */
  readonly vocabularySize: number;
  /** Pairs that occur less often are not merged. @default 2 */
  readonly minFrequency?: number | undefined;
}

export interface TrainedBpe {
  /** Entries by id, in the byte characters of {@link CHARACTER_OF_BYTE}. */
  readonly pieces: readonly string[];
  /** In the order learnt. */
  readonly merges: readonly (readonly [string, string])[];
}

/** Ids of single bytes: their characters by code point. */
const ALPHABET: readonly string[] = [...CHARACTER_OF_BYTE].sort((a, b) => (a < b ? -1 : 1));
const ID_OF_BYTE: readonly number[] = CHARACTER_OF_BYTE.map((character) =>
  ALPHABET.indexOf(character),
);

/** A piece of text as the ids that it is made of so far, and how often it occurs. */
interface Word {
  ids: number[];
  readonly count: number;
}

function checkOptions({ vocabularySize, minFrequency = 2 }: TrainBpeOptions): void {
  const details: string[] = [];
  if (!(Number.isSafeInteger(vocabularySize) && vocabularySize >= 256 && vocabularySize < 2 ** 24))
    details.push(`vocabularySize: expected a whole number from 256, got ${String(vocabularySize)}`);
  if (!(Number.isSafeInteger(minFrequency) && minFrequency >= 1))
    details.push(`minFrequency: expected a whole number from 1, got ${String(minFrequency)}`);
  if (details.length === 0) return;
  throw new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', 'the vocabulary cannot be learnt so', {
    details,
  });
}

function countWords(texts: Iterable<string>): Word[] {
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const piece of preTokenise(text)) counts.set(piece, (counts.get(piece) ?? 0) + 1);
  }
  const encoder = new TextEncoder();
  return [...counts].map(([piece, count]) => ({
    ids: Array.from(encoder.encode(piece), (byte) => ID_OF_BYTE[byte] ?? 0),
    count,
  }));
}

/** How often each pair occurs, and the words that may hold it. */
class Pairs {
  readonly counts = new Map<number, number>();
  readonly #words = new Map<number, Set<Word>>();

  add(key: number, word: Word): void {
    this.counts.set(key, (this.counts.get(key) ?? 0) + word.count);
    const words = this.#words.get(key);
    if (words === undefined) this.#words.set(key, new Set([word]));
    else words.add(word);
  }

  remove(key: number, word: Word): void {
    this.counts.set(key, (this.counts.get(key) ?? 0) - word.count);
  }

  /** The words of a pair that is about to be merged, and so will not be seen again. */
  take(key: number): Iterable<Word> {
    const words = this.#words.get(key) ?? [];
    this.#words.delete(key);
    this.counts.delete(key);
    return words;
  }
}

/**
 * Blocks the event loop: about a second for 100,000 short texts.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT
 */
export function trainBpe(options: TrainBpeOptions): TrainedBpe {
  checkOptions(options);
  const { texts, vocabularySize, minFrequency = 2 } = options;
  const pairs = new Pairs();
  for (const word of countWords(texts)) {
    forEachPair(word.ids, (key) => pairs.add(key, word));
  }
  const queue = new PairQueue();
  for (const [key, count] of pairs.counts) queue.push({ key, count });

  const pieces = [...ALPHABET];
  const merges: (readonly [string, string])[] = [];
  while (pieces.length < vocabularySize) {
    const best = queue.pop();
    if (best === undefined) break;
    const count = pairs.counts.get(best.key) ?? 0;
    if (count !== best.count) {
      if (count >= minFrequency) queue.push({ key: best.key, count });
      continue;
    }
    if (count < minFrequency) break;
    const [left, right] = pairOf(best.key);
    const parts = [pieces[left] ?? '', pieces[right] ?? ''] as const;
    const made = pieces.push(parts[0] + parts[1]) - 1;
    merges.push(parts);
    for (const key of mergeEverywhere(pairs, best.key, made)) {
      queue.push({ key, count: pairs.counts.get(key) ?? 0 });
    }
  }
  return { pieces, merges };
}

function forEachPair(ids: readonly number[], visit: (key: number) => void): void {
  for (let i = 1; i < ids.length; i++) visit(pairKey(ids[i - 1] ?? 0, ids[i] ?? 0));
}

/** Puts `made` in place of the pair in every word; returns the pairs that this has made. */
function mergeEverywhere(pairs: Pairs, key: number, made: number): ReadonlySet<number> {
  const born = new Set<number>();
  for (const word of pairs.take(key)) {
    const merged = mergeIn(word.ids, key, made);
    if (merged.length === word.ids.length) continue;
    // Words are short: counting both forms anew costs no more than following every neighbour.
    forEachPair(word.ids, (old) => {
      if (old !== key) pairs.remove(old, word);
    });
    word.ids = merged;
    forEachPair(merged, (fresh) => {
      pairs.add(fresh, word);
      if (fresh >= pairKey(made, 0) || fresh % pairKey(1, 0) === made) born.add(fresh);
    });
  }
  return born;
}

/** Leftmost first, as the encoder does. */
function mergeIn(ids: readonly number[], key: number, made: number): number[] {
  const [left, right] = pairOf(key);
  const merged: number[] = [];
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] === left && ids[i + 1] === right) {
      merged.push(made);
      i++;
    } else {
      merged.push(ids[i] ?? 0);
    }
  }
  return merged;
}
