/**
 * What has become of every pair, and where its line stands in the journal. Answers stay on the disk:
 * a pair takes 14 bytes here, whatever its answer's length.
 */
import type { JournalLine } from '../../files/index.js';

export type PairStatus = 'open' | 'answered' | 'aside' | 'unasked' | 'in_batch';

const STATUSES: readonly PairStatus[] = ['open', 'answered', 'aside', 'unasked', 'in_batch'];

export class Ledger {
  readonly size: number;
  readonly #status: Uint8Array;
  readonly #attempts: Uint8Array;
  readonly #start: Float64Array;
  readonly #length: Uint32Array;
  readonly #counts = new Map<PairStatus, number>();

  constructor(size: number) {
    this.size = size;
    this.#status = new Uint8Array(size);
    this.#attempts = new Uint8Array(size);
    this.#start = new Float64Array(size);
    this.#length = new Uint32Array(size);
    this.#counts.set('open', size);
  }

  status(pair: number): PairStatus {
    return STATUSES[this.#status[pair] ?? 0] ?? 'open';
  }

  /** Answers of this pair that were rejected. */
  attempts(pair: number): number {
    return this.#attempts[pair] ?? 0;
  }

  count(status: PairStatus): number {
    return this.#counts.get(status) ?? 0;
  }

  set(pair: number, status: PairStatus, line?: JournalLine): void {
    const before = this.status(pair);
    this.#counts.set(before, this.count(before) - 1);
    this.#counts.set(status, this.count(status) + 1);
    this.#status[pair] = STATUSES.indexOf(status);
    if (line !== undefined) {
      this.#start[pair] = line.start;
      this.#length[pair] = line.length;
    }
  }

  setAttempts(pair: number, attempts: number): void {
    this.#attempts[pair] = Math.min(attempts, 255);
  }

  /** Where the pair's answer, or the reason that it was set aside for, stands. */
  line(pair: number): JournalLine {
    return { start: this.#start[pair] ?? 0, length: this.#length[pair] ?? 0 };
  }

  /** Pairs of this status, ascending; later changes are seen as the iteration reaches them. */
  *pairs(status: PairStatus): Generator<number> {
    for (let pair = 0; pair < this.size; pair++) {
      if (this.status(pair) === status) yield pair;
    }
  }
}
