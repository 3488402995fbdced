/** How far several transfers are together, and how fast of late. */
import type { DownloadProgress, OnDownload } from './events.js';

const WINDOW_MS = 10_000;
const INTERVAL_MS = 100;

export class TransferRate {
  readonly #onEvent: OnDownload | undefined;
  readonly #bytesTotal: number;
  readonly #filesTotal: number;
  readonly #now: () => number;
  #bytesDone: number;
  #filesDone = 0;
  #toldAt = -Infinity;
  /** Time and bytes that had come by then, of the last seconds. */
  readonly #samples: (readonly [atMs: number, bytes: number])[];

  /** @param bytesHere from before, which say nothing about speed */
  constructor(
    totals: { readonly bytes: number; readonly bytesHere: number; readonly files: number },
    onEvent: OnDownload | undefined,
    now: () => number = () => performance.now(),
  ) {
    this.#bytesTotal = totals.bytes;
    this.#bytesDone = totals.bytesHere;
    this.#filesTotal = totals.files;
    this.#onEvent = onEvent;
    this.#now = now;
    this.#samples = [[now(), totals.bytesHere]];
  }

  add(bytes: number): void {
    this.#bytesDone += bytes;
    if (this.#now() - this.#toldAt >= INTERVAL_MS) this.#tell();
  }

  fileDone(): void {
    this.#filesDone++;
    this.#tell();
  }

  #tell(): void {
    const now = this.#now();
    this.#toldAt = now;
    this.#samples.push([now, this.#bytesDone]);
    while (this.#samples.length > 2 && now - (this.#samples[0]?.[0] ?? 0) > WINDOW_MS) {
      this.#samples.shift();
    }
    this.#onEvent?.(this.#progress(now));
  }

  #progress(now: number): DownloadProgress {
    const [since, before] = this.#samples[0] ?? [now, this.#bytesDone];
    const seconds = (now - since) / 1000;
    const bytesPerSecond = seconds > 0 ? Math.max(0, this.#bytesDone - before) / seconds : 0;
    const left = this.#bytesTotal - this.#bytesDone;
    return {
      type: 'progress',
      bytesDone: this.#bytesDone,
      bytesTotal: this.#bytesTotal,
      filesDone: this.#filesDone,
      filesTotal: this.#filesTotal,
      bytesPerSecond,
      secondsLeft: left <= 0 ? 0 : bytesPerSecond > 0 ? left / bytesPerSecond : undefined,
    };
  }
}
