/**
 * The journal of a run with all that follows from it: what is answered, what was spent, which batches
 * are at the provider. Everything that happens is written first and counted then, also on resume.
 */
import { join } from 'node:path';

import { createError } from '../../errors.js';
import { JournalFile, type JournalLine } from '../../files/index.js';
import { type BatchEntry, type Entry, readEntry } from './entries.js';
import { Ledger } from './ledger.js';
import type { Plan } from './plan.js';
import { Account } from './spending.js';

export const JOURNAL_NAME = 'journal.jsonl';
/** Set aside for reasons that pass: asked again by the next session. */
export const REQUEST_FAILED = 'request_failed';

/** A batch that is not collected yet. */
export interface OpenBatch {
  readonly n: number;
  readonly pairs: readonly (readonly [pair: number, attempt: number])[];
  readonly most: number;
  readonly fileId: string | undefined;
  readonly batchId: string | undefined;
}

export interface RunJournalOptions {
  readonly output: string;
  readonly plan: Plan;
  readonly identity: Readonly<Record<string, unknown>>;
  readonly spendingLimit: number | undefined;
  /** Asks also for what was set aside for its answers. */
  readonly retrySetAside: boolean;
}

function differences(
  before: Readonly<Record<string, unknown>>,
  now: Readonly<Record<string, unknown>>,
): string[] {
  const keys = new Set([...Object.keys(before), ...Object.keys(now)]);
  keys.delete('type');
  return [...keys].flatMap((key) => {
    const [was, is] = [JSON.stringify(before[key]), JSON.stringify(now[key])];
    return was === is ? [] : [`${key}: the folder has ${was}, this run ${is}`];
  });
}

export class RunJournal implements AsyncDisposable {
  readonly ledger: Ledger;
  readonly account: Account;
  readonly batches: Map<number, OpenBatch> = new Map();
  /** Answers in use whose thinking was cut off. */
  thinkingCut = 0;
  /** Rejected answers by reason. */
  readonly rejections: Map<string, number> = new Map();
  /** Rejected answers that no longer count, of pairs that are asked again after being set aside. */
  readonly forgiven: Map<number, number> = new Map();
  /** Pairs set aside by reason. */
  readonly asides: Map<string, number> = new Map();
  readonly #plan: Plan;
  readonly #asideReasons = new Map<number, string>();
  #file!: JournalFile;
  #identity: Readonly<Record<string, unknown>> | undefined;
  #openSession: { readonly atRisk: number; readonly most: number } | undefined;
  #nextBatch = 1;
  #failure: Error | undefined;
  #unsynced = 0;

  private constructor({ plan, spendingLimit }: RunJournalOptions) {
    this.#plan = plan;
    this.ledger = new Ledger(plan.size);
    this.account = new Account(spendingLimit);
    for (let pair = 0; pair < plan.size; pair++) {
      if (plan.obstacle(pair) !== undefined) this.ledger.set(pair, 'unasked');
    }
  }

  /**
   * Opens the journal of a folder that exists and takes over what it says.
   *
   * @throws TrainingError FACELLM_RUN_INVALID if it belongs to other data, prompts or another teacher,
   * with one detail per difference; FACELLM_RUN_WRITE
   */
  static async open(options: RunJournalOptions): Promise<RunJournal> {
    const journal = new RunJournal(options);
    const path = join(options.output, JOURNAL_NAME);
    journal.#file = await JournalFile.open(path, (line, place) => {
      journal.#replay(readEntry(line, path), place, options.identity);
    });
    try {
      if (journal.#identity === undefined)
        journal.#file.append({ type: 'run', ...options.identity });
      journal.#loseOpenSession();
      journal.#reopen(options.retrySetAside);
    } catch (error) {
      await journal.#file.close();
      throw error;
    }
    return journal;
  }

  get path(): string {
    return this.#file.path;
  }

  /** A disk that failed behind a sync; the run must end. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Lines that a failing machine would lose. */
  get unsynced(): number {
    return this.#unsynced;
  }

  /** Marks what a kill from now on may lose. */
  begin(atRisk: number, most: number): void {
    this.#write({ type: 'session', at: new Date().toISOString(), atRisk, most });
  }

  /** Nothing is under way any more. */
  finish(): void {
    this.#write({ type: 'end' });
  }

  /**
   * Writes an entry and takes it into account. `onDurable` is called once the entry survives a failure
   * of the machine; only then may it be counted.
   */
  record(entry: Entry, onDurable: () => void = () => undefined): void {
    const line = this.#write(entry);
    this.#apply(entry, line);
    this.#unsynced++;
    void this.#file.durable().then(
      () => {
        this.#unsynced--;
        onDurable();
      },
      (error: unknown) => {
        this.#unsynced--;
        this.#failure ??= error instanceof Error ? error : new Error(String(error));
      },
    );
  }

  /** @throws TrainingError FACELLM_RUN_WRITE, also of an earlier sync */
  async durable(): Promise<void> {
    await this.#file.durable();
    if (this.#failure !== undefined) throw this.#failure;
  }

  nextBatchNumber(): number {
    return this.#nextBatch++;
  }

  /** The lines of these pairs, in the order given. */
  async read(pairs: readonly number[]): Promise<Entry[]> {
    const lines = await this.#file.read(pairs.map((pair) => this.ledger.line(pair)));
    return lines.map((line) => readEntry(line, this.path));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#file.close();
  }

  #write(entry: Entry): JournalLine {
    return this.#file.append({ ...entry });
  }

  #replay(entry: Entry, line: JournalLine, identity: Readonly<Record<string, unknown>>): void {
    if (entry.type === 'run') {
      const details = differences(entry, identity);
      if (details.length > 0) {
        throw createError(
          'FACELLM_RUN_INVALID',
          `${line.start === 0 ? 'the output folder' : 'the journal'} belongs to another run; name another folder or restore the settings`,
          { details },
        );
      }
      this.#identity = identity;
      return;
    }
    const { ledger } = this;
    if ('id' in entry && (entry.i >= ledger.size || entry.id !== this.#plan.id(entry.i))) {
      throw createError('FACELLM_RUN_INVALID', `the journal's pair ${entry.id} is not in the plan`);
    }
    this.#apply(entry, line);
  }

  #apply(entry: Entry, line: JournalLine): void {
    switch (entry.type) {
      case 'session':
        this.#loseOpenSession();
        this.#openSession = entry;
        return;
      case 'end':
        this.#openSession = undefined;
        return;
      case 'answer':
        this.#forgetAside(entry.i);
        this.ledger.set(entry.i, 'answered', line);
        if (entry.thinking !== undefined) this.thinkingCut++;
        this.account.charge(entry.usage, entry.cost);
        return;
      case 'rejected':
        this.ledger.setAttempts(entry.i, entry.attempt + 1);
        this.rejections.set(entry.reason, (this.rejections.get(entry.reason) ?? 0) + 1);
        this.account.charge(entry.usage, entry.cost);
        return;
      case 'aside':
        this.#forgetAside(entry.i);
        this.ledger.set(entry.i, 'aside', line);
        this.#asideReasons.set(entry.i, entry.reason);
        this.asides.set(entry.reason, (this.asides.get(entry.reason) ?? 0) + 1);
        return;
      case 'lost':
        this.account.chargePossible(entry.cost);
        return;
      case 'batch':
        this.#applyBatch(entry);
        return;
      case 'run':
    }
  }

  #applyBatch({ n, state, pairs = [], most = 0, fileId, batchId }: BatchEntry): void {
    this.#nextBatch = Math.max(this.#nextBatch, n + 1);
    const known = this.batches.get(n) ?? { n, pairs, most, fileId: undefined, batchId: undefined };
    if (state === 'collected') {
      this.batches.delete(n);
      for (const [pair] of known.pairs) {
        if (this.ledger.status(pair) === 'in_batch') this.ledger.set(pair, 'open');
      }
      return;
    }
    this.batches.set(n, {
      ...known,
      fileId: fileId ?? known.fileId,
      batchId: batchId ?? known.batchId,
    });
    if (state === 'prepared') for (const [pair] of pairs) this.ledger.set(pair, 'in_batch');
  }

  #forgetAside(pair: number): void {
    const reason = this.#asideReasons.get(pair);
    if (reason === undefined) return;
    this.#asideReasons.delete(pair);
    this.asides.set(reason, (this.asides.get(reason) ?? 1) - 1);
  }

  /** A session without an end was killed: its requests under way may have been charged. */
  #loseOpenSession(): void {
    if (this.#openSession === undefined) return;
    this.account.chargePossible(this.#openSession.atRisk * this.#openSession.most);
    this.#openSession = undefined;
  }

  #reopen(retrySetAside: boolean): void {
    for (const [pair, reason] of [...this.#asideReasons]) {
      if (reason !== REQUEST_FAILED && !retrySetAside) continue;
      this.#forgetAside(pair);
      this.ledger.set(pair, 'open');
      // The numbers of attempts go on: a gateway would answer a known one from memory.
      this.forgiven.set(pair, this.ledger.attempts(pair));
    }
  }
}
