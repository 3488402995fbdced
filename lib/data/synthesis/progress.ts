/** How far making a dataset has come: counts what is settled and tells about it now and then. */
import type { GenerationProgress, GenerationRun } from './events.js';
import type { RunJournal } from './run-journal.js';

const PROGRESS_MS = 100;

export class Progress {
  readonly #run: GenerationRun;
  readonly #journal: RunJournal;
  readonly #startedAt = performance.now();
  #settledNow = 0;
  #failedRequests = 0;
  #toldAt = -Infinity;
  readonly #before: number;

  constructor(run: GenerationRun, journal: RunJournal) {
    this.#run = run;
    this.#journal = journal;
    const { ledger } = journal;
    this.#before = ledger.count('answered') + ledger.count('aside');
  }

  get failedRequests(): number {
    return this.#failedRequests;
  }

  get seconds(): number {
    return (performance.now() - this.#startedAt) / 1000;
  }

  readonly onSettled = (): void => {
    this.#settledNow++;
    this.#tell();
  };

  readonly onFailure = (): void => {
    this.#failedRequests++;
    this.#tell();
  };

  now(): GenerationProgress {
    const { ledger, rejections, account } = this.#journal;
    return {
      total: ledger.size - ledger.count('unasked'),
      settled: this.#before + this.#settledNow,
      setAside: ledger.count('aside'),
      rejected: [...rejections.values()].reduce((sum, count) => sum + count, 0),
      failedRequests: this.#failedRequests,
      spending: account.spending,
      elapsedSeconds: this.seconds,
      settledNow: this.#settledNow,
    };
  }

  #tell(): void {
    const now = performance.now();
    if (now - this.#toldAt < PROGRESS_MS) return;
    this.#toldAt = now;
    this.#run.emit({ type: 'progress', ...this.now() });
  }
}
