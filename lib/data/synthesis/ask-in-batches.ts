/**
 * Asks all open pairs through a provider's Batch API. Every step of a batch is in the journal before the
 * next: a killed run finds its files and batches again, and one that was made but not yet noted is
 * looked for before another is paid for.
 */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { createError } from '../../errors.js';
import { AtomicFile } from '../../files/index.js';
import type { BatchLine, BatchService } from '../teachers/batch-service.js';
import { isTeacherFailure, TeacherFailure } from '../teachers/exchange.js';
import type { OnlineContext, OnlineOutcome } from './ask-online.js';
import { isPassing, waitBefore } from './backoff.js';
import type { GenerationEvent } from './events.js';
import { SYSTEM_CLOCK } from './limiter.js';
import type { BatchOptions } from './options.js';
import { type OpenBatch, REQUEST_FAILED } from './run-journal.js';
import { setAside, settleAnswer } from './settle.js';
import { costOf } from './spending.js';

export interface BatchContext extends OnlineContext {
  readonly emit: (event: GenerationEvent) => void;
  /** Repetitions of a call, and of a request within batches, that failed in passing. */
  readonly maxRetries: number;
}

class BatchAsking {
  readonly #context: BatchContext;
  readonly #service: BatchService;
  readonly #settings: Required<{ readonly [key in keyof BatchOptions]: number }>;
  /** Requests of a pair that failed in passing. */
  readonly #failures = new Map<number, number>();
  readonly #toldStatus = new Map<number, string>();

  constructor(context: BatchContext, service: BatchService, options: BatchOptions) {
    this.#context = context;
    this.#service = service;
    const { pollMs = 60_000, maxRequests = 50_000, maxBytes = 100e6, maxOpen = 8 } = options;
    this.#settings = { pollMs, maxRequests, maxBytes, maxOpen };
  }

  async run(): Promise<OnlineOutcome> {
    const { journal, stopSignal } = this.#context;
    // What earlier sessions sent is promised money, whatever the limit is now.
    for (const { most } of journal.batches.values()) journal.account.commit(most);
    let outcome: OnlineOutcome | undefined;
    while (outcome === undefined) {
      try {
        outcome = await this.#step();
      } catch (error) {
        if (!stopSignal.aborted || !isTeacherFailure(error)) throw asError(error);
        outcome = 'stopped';
      }
      await journal.durable();
    }
    return outcome;
  }

  /** Brings every batch as far as it goes, adds new ones, and waits. */
  async #step(): Promise<OnlineOutcome | undefined> {
    const { journal, stopSignal } = this.#context;
    for (const batch of [...journal.batches.values()]) {
      if (stopSignal.aborted) return 'stopped';
      await this.#advance(batch);
    }
    while (journal.batches.size < this.#settings.maxOpen && journal.ledger.count('open') > 0) {
      if (stopSignal.aborted) return 'stopped';
      const isPrepared = await this.#prepare();
      if (!isPrepared && journal.batches.size === 0) {
        // Either money is lacking, or all that was left could not be asked.
        return journal.ledger.count('open') > 0 ? 'spending_limit' : 'done';
      }
      if (!isPrepared) break;
    }
    if (journal.batches.size === 0) return journal.ledger.count('open') === 0 ? 'done' : undefined;
    await SYSTEM_CLOCK.sleep(this.#settings.pollMs, stopSignal);
    return stopSignal.aborted ? 'stopped' : undefined;
  }

  #inputPath(n: number): string {
    const name = `batch-${String(n).padStart(4, '0')}.jsonl`;
    return join(dirname(this.#context.journal.path), name);
  }

  /** Writes the next input file and notes what is in it. False if nothing fits the money left. */
  async #prepare(): Promise<boolean> {
    const { journal, plan, prices, teacher } = this.#context;
    const n = journal.nextBatchNumber();
    const pairs: [number, number][] = [];
    let [bytes, most] = [0, 0];
    const file = await AtomicFile.open(this.#inputPath(n));
    try {
      for (const pair of journal.ledger.pairs('open')) {
        const attempt = journal.ledger.attempts(pair);
        try {
          const request = plan.request(pair, attempt);
          const bound = await teacher.bound?.(request);
          const cost = prices === undefined || bound === undefined ? 0 : costOf(bound, prices);
          if (most + cost > journal.account.left) break;
          const line = await this.#service.line(`${pair}-${attempt}`, request);
          const isFull = pairs.length > 0 && bytes + line.length > this.#settings.maxBytes;
          if (isFull || pairs.length >= this.#settings.maxRequests) break;
          await file.write(line);
          pairs.push([pair, attempt]);
          bytes += line.length;
          most += cost;
        } catch (error) {
          if (!isTeacherFailure(error)) throw error;
          setAside(this.#context, pair, 'bad_request', error.message);
        }
      }
      if (pairs.length === 0) return false;
      await file.commit();
    } finally {
      await file.discard();
    }
    journal.account.commit(most);
    journal.record({ type: 'batch', n, state: 'prepared', pairs, most });
    await journal.durable();
    const batch = journal.batches.get(n);
    if (batch !== undefined) await this.#advance(batch);
    return true;
  }

  async #advance(batch: OpenBatch): Promise<void> {
    const { journal } = this.#context;
    const { n } = batch;
    let { fileId, batchId } = batch;
    if (fileId === undefined) {
      if (!existsSync(this.#inputPath(n))) await this.#rewrite(batch);
      fileId = await this.#patiently(() => this.#service.upload(this.#inputPath(n)));
      journal.record({ type: 'batch', n, state: 'uploaded', fileId });
      await journal.durable();
      await rm(this.#inputPath(n), { force: true });
    }
    if (batchId === undefined) {
      const uploaded = fileId;
      batchId = await this.#patiently(
        async () => (await this.#service.find(uploaded)) ?? this.#service.submit(uploaded),
      );
      journal.record({ type: 'batch', n, state: 'submitted', batchId });
      await journal.durable();
      return;
    }
    await this.#look(batch, batchId);
  }

  async #rewrite({ n, pairs }: OpenBatch): Promise<void> {
    const file = await AtomicFile.open(this.#inputPath(n));
    try {
      for (const [pair, attempt] of pairs) {
        const request = this.#context.plan.request(pair, attempt);
        await file.write(await this.#service.line(`${pair}-${attempt}`, request));
      }
      await file.commit();
    } finally {
      await file.discard();
    }
  }

  async #look(batch: OpenBatch, batchId: string): Promise<void> {
    const { emit, journal } = this.#context;
    const { n } = batch;
    const found = await this.#patiently(() => this.#service.status(batchId));
    const { status, state, done, total, message, resultFiles } = found;
    const told = JSON.stringify([status, done, total]);
    if (this.#toldStatus.get(n) !== told) {
      this.#toldStatus.set(n, told);
      emit({ type: 'batch', number: n, batchId, status, done, total });
    }
    if (state === 'working') return;
    let fatal: TeacherFailure | undefined;
    for (const fileId of resultFiles) {
      fatal = (await this.#patiently(() => this.#collect(batch, fileId))) ?? fatal;
    }
    journal.record({ type: 'batch', n, state: 'collected' });
    journal.account.release(batch.most);
    await journal.durable();
    if (state !== 'failed' && fatal === undefined) return;
    const reason = fatal?.message ?? (message === '' ? status : `${status}: ${message}`);
    throw createError(
      'FACELLM_TEACHER_FAILED',
      `batch ${batchId} was not answered (${reason}); mend that and run the same command again`,
    );
  }

  /** @returns a failure that holds for all requests */
  async #collect(batch: OpenBatch, fileId: string): Promise<TeacherFailure | undefined> {
    let fatal: TeacherFailure | undefined;
    const asked = new Map(batch.pairs.map(([pair, attempt]) => [`${pair}-${attempt}`, pair]));
    for await (const line of this.#service.results(fileId)) {
      const pair = asked.get(line.key);
      if (pair !== undefined) fatal = (await this.#settle(pair, line)) ?? fatal;
    }
    return fatal;
  }

  async #settle(pair: number, { key, outcome }: BatchLine): Promise<TeacherFailure | undefined> {
    const { journal, plan, teacher, onFailure, maxRetries } = this.#context;
    const attempt = Number(key.slice(key.indexOf('-') + 1));
    // Both are so after a kill in the middle of collecting: the line is in the journal already.
    const isKnown = journal.ledger.status(pair) !== 'in_batch';
    if (isKnown || journal.ledger.attempts(pair) > attempt || outcome === undefined)
      return undefined;
    if (!isTeacherFailure(outcome)) {
      const bound = outcome.usage ?? (await teacher.bound?.(plan.request(pair, attempt)));
      settleAnswer(this.#context, pair, attempt, outcome, bound);
      return undefined;
    }
    onFailure(outcome);
    if (outcome.kind === 'fatal') return outcome;
    const failures = (this.#failures.get(pair) ?? 0) + 1;
    this.#failures.set(pair, failures);
    if (outcome.kind === 'request') setAside(this.#context, pair, 'bad_request', outcome.message);
    else if (failures > maxRetries) {
      setAside(this.#context, pair, REQUEST_FAILED, outcome.message);
    }
    return undefined;
  }

  /** Repeats a call that fails in passing; a stop ends the waiting with the last failure. */
  async #patiently<T>(call: () => Promise<T>): Promise<T> {
    const { stopSignal, onFailure, maxRetries } = this.#context;
    for (let retry = 0; ; retry++) {
      try {
        return await call();
      } catch (error) {
        if (!isTeacherFailure(error)) throw error;
        onFailure(error);
        if (!isPassing(error) || retry >= maxRetries || stopSignal.aborted) throw error;
        await SYSTEM_CLOCK.sleep(waitBefore(retry, error), stopSignal);
      }
    }
  }
}

function asError(error: unknown): Error {
  if (!isTeacherFailure(error)) return error as Error;
  return createError(
    'FACELLM_TEACHER_FAILED',
    `the Batch API takes no requests: ${error.message}; the same command resumes`,
    { cause: error },
  );
}

/**
 * Asks until every pair is answered or set aside, the money is spent or `stopSignal` is raised; batches
 * at the provider then go on, and the next session collects them. Everything recorded is durable when
 * this settles.
 *
 * @throws TeacherError FACELLM_TEACHER_FAILED
 * @throws TrainingError FACELLM_RUN_WRITE
 */
export async function askInBatches(
  context: BatchContext,
  options: BatchOptions,
): Promise<OnlineOutcome> {
  const { batches } = context.teacher;
  if (batches === undefined) throw new TypeError('the teacher has no batches');
  return new BatchAsking(context, batches, options).run();
}
