/** How many requests may be here at a time, and who is turned away at once instead of being kept waiting for nothing. */
import { FairQueue } from '../jobs/index.js';
import { shuttingDown, tooBusy } from './api-error.js';
import type { ServerLimits } from './options.js';
import { BytesInFlight } from './read-body.js';
import { Room } from './room.js';
import { WorkRate } from './work-rate.js';

/** Where nothing is measured yet. */
const USUAL_WAIT_MS = 1000;

/** Of a request that was let in. */
export interface Entry {
  /** Once its body is there. @throws ApiError 429 */
  takePlace(): void;
  /** Once it has ended; idempotent. */
  leave(): void;
}

export class Admission {
  readonly bodies: BytesInFlight;
  /** Bytes of decoded pictures. */
  readonly decoded: Room;
  /** Of batches' lines, as much again: they may wait for hours with what they took. */
  readonly decodedBehind: Room;
  /** Of files that batches' lines fetch: as much again as bodies. */
  readonly fetchedBehind: Room;
  readonly queue: FairQueue;
  readonly rate: WorkRate = new WorkRate();
  readonly #limits: ServerLimits;
  readonly #rows: number;
  readonly #senders = new Set<(reason: Error) => void>();
  #inside = 0;
  #isDraining = false;
  #onEmpty: (() => void) | undefined;

  /** @param rows answers that the engine computes at a time */
  constructor(limits: ServerLimits, rows: number) {
    this.#limits = limits;
    this.#rows = rows;
    this.bodies = new BytesInFlight(limits.bodyBytesInFlight);
    this.decoded = new Room(limits.decodedBytes);
    this.decodedBehind = new Room(limits.decodedBytes);
    this.fetchedBehind = new Room(limits.bodyBytesInFlight);
    this.queue = new FairQueue(rows);
  }

  /** Requests whose body has come and that have not ended. */
  get inside(): number {
    return this.#inside;
  }

  /** Requests whose body is on the way. */
  get sending(): number {
    return this.#senders.size;
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Milliseconds until what waits now will have begun. */
  get expectedWait(): number {
    return this.rate.wait(this.queue.waitingCost);
  }

  /**
   * Before anything of the request is read. While its body is on the way it has no place yet: whoever sends slowly, or never
   * ends, takes none from others. (What he has sent counts among the bytes of bodies, until the time for a body is over.)
   *
   * @param onDrain ends it, where its body is still on the way when the server ends
   * @throws ApiError 429, 503
   */
  enter(declaredBytes: number, onDrain: (reason: Error) => void): Entry {
    if (this.#isDraining) throw shuttingDown();
    this.#checkPlaces();
    if (this.bodies.bytes + declaredBytes > this.#limits.bodyBytesInFlight) {
      throw tooBusy('too many bytes are under way', 1000);
    }
    this.checkWait();
    this.#senders.add(onDrain);
    let [isPresent, isInside] = [true, false];
    return {
      takePlace: () => {
        this.#checkPlaces();
        this.#senders.delete(onDrain);
        this.#inside++;
        isInside = true;
      },
      leave: () => {
        if (!isPresent) return;
        if (isInside) this.#inside--;
        isPresent = false;
        this.#senders.delete(onDrain);
        if (this.#isEmpty) this.#onEmpty?.();
      },
    };
  }

  /** @throws ApiError 429 where the work that waits is more than may wait */
  checkWait(): void {
    if (this.queue.waiting > 0 && this.expectedWait > this.#limits.maxWait) throw this.#full();
  }

  /** Lets nobody in any more, and ends those whose body is on the way; resolves when the last one has left. */
  async drain(): Promise<void> {
    this.#isDraining = true;
    for (const end of this.#senders) end(shuttingDown());
    if (!this.#isEmpty) await new Promise<void>((resolve) => (this.#onEmpty = resolve));
  }

  get #isEmpty(): boolean {
    return this.#inside + this.#senders.size === 0;
  }

  #checkPlaces(): void {
    if (this.#inside >= this.#rows + this.#limits.queue) throw this.#full();
  }

  #full(): Error {
    return tooBusy('the queue is full', this.expectedWait || USUAL_WAIT_MS);
  }
}
