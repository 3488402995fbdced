/** The batches of a server: one after the other, behind everybody who waits, over restarts. */
import { rename, rm } from 'node:fs/promises';

import { FaceLlmError } from '../errors.js';
import { ApiError, isFatal, shuttingDown } from './api-error.js';
import { readBatchLines } from './batch-lines.js';
import { isOver, newId, seconds, type StoredBatch } from './batch-records.js';
import { runBatch, writeResults } from './batch-run.js';
import type { BatchSettings } from './batch-settings.js';
import { type BatchQueue, type BatchStore, PRIVATE_FILE } from './batch-store.js';
import type { Right } from './keys.js';
import type { RequestFacts } from './request-facts.js';
import type { EngineState } from './state.js';

/** As OpenAI's. */
const MOST_LINES = 50_000;
/** What has expired is there for so long at most. */
const PURGE_MS = 3600_000;

export interface BatchesOptions {
  readonly store: BatchStore;
  readonly state: EngineState;
  /** What a batch must have been begun with to be gone on with. */
  readonly settings: BatchSettings;
  /** Lines under way at a time. */
  readonly ahead: number;
  readonly onFatal: (error: unknown) => void;
  /** Batches are worked on no more. */
  readonly onHalt: (error: unknown) => void;
  readonly onEnd: (facts: RequestFacts, status: number, code?: string) => void;
}

type End = 'completed' | 'cancelled' | 'expired' | 'failed';

/** A full disk, say: no batch's fault, and no reason to give up what is answered. */
const isOfTheFolder = (error: unknown): boolean =>
  error instanceof FaceLlmError && error.code === 'FACELLM_RUN_WRITE';

/** Its record is of no use here. */
const isOfRecord = (error: unknown): error is FaceLlmError =>
  error instanceof FaceLlmError && error.code === 'FACELLM_RUN_INVALID';
/** Begun by a server with another model, say: its settings are named. */
const isOfOthers = (error: unknown): error is FaceLlmError =>
  isOfRecord(error) && error.details.some((detail) => detail.includes(': begun with '));

const RECORD_FAULT: readonly [code: string, message: string] = [
  'record_invalid',
  'the file of requests or the record of this batch is not the one any more that it was begun with; ' +
    'what was answered before is kept, send the other lines again',
];

function faultOf(error: unknown): StoredBatch['errors'] {
  const [code, message] = isOfOthers(error)
    ? [
        'server_changed',
        'the server was started again with another model or other settings than this batch was begun with ' +
          `(${error.details.map((detail) => detail.split(':', 1)[0]).join(', ')}); what was answered before is kept, send the other lines again`,
      ]
    : isOfRecord(error)
      ? RECORD_FAULT
      : ['internal_error', error instanceof ApiError ? error.message : 'a fault of the server'];
  return { object: 'list', data: [{ code, message, line: null, param: null }] };
}

class Cancelled extends Error {}
class Expired extends Error {}

export class Batches implements BatchQueue {
  readonly store: BatchStore;
  readonly #options: BatchesOptions;
  readonly #ending = new AbortController();
  /** Of the batch that runs. */
  #current: { readonly id: string; readonly abort: AbortController } | undefined;
  #work: Promise<void> | undefined;
  readonly #purging: NodeJS.Timeout;

  constructor(options: BatchesOptions) {
    this.#options = options;
    this.store = options.store;
    // What cannot be deleted now is tried again.
    const purge = (): void => void this.store.purge().catch(() => undefined);
    this.#purging = setInterval(purge, PURGE_MS).unref();
    this.wake();
  }

  wake(): void {
    if (this.#work !== undefined || this.#ending.signal.aborted) return;
    this.#work = this.#runAll()
      .catch((error: unknown) => {
        // The folder cannot be written to: requests go on without it, batches when the server is started again.
        this.#ending.abort(error);
        this.#options.onHalt(error);
      })
      .finally(() => {
        this.#work = undefined;
        if (this.store.unfinished.length > 0) this.wake();
      });
  }

  async cancel(batch: StoredBatch): Promise<void> {
    if (isOver(batch)) {
      throw new ApiError(400, 'invalid_value', `the batch is ${batch.status} already`);
    }
    batch.status = 'cancelling';
    batch.cancelling_at = seconds();
    await this.store.saveBatch(batch);
    if (this.#current?.id === batch.id) this.#current.abort.abort(new Cancelled());
    this.wake();
  }

  /** What is under way goes on when the server is started again. */
  async close(): Promise<void> {
    clearInterval(this.#purging);
    this.#ending.abort(shuttingDown());
    this.#current?.abort.abort(shuttingDown());
    await this.#work;
    await this.store.close();
  }

  async #runAll(): Promise<void> {
    for (;;) {
      const [batch] = this.store.unfinished;
      if (batch === undefined || this.#ending.signal.aborted) break;
      await this.#run(batch);
    }
    await this.store.purge();
  }

  async #run(batch: StoredBatch): Promise<void> {
    const abort = new AbortController();
    this.#current = { id: batch.id, abort };
    const left = batch.expires_at * 1000 - Date.now();
    const timer = setTimeout(
      () => abort.abort(new Expired()),
      Math.max(0, Math.min(left, 2 ** 31 - 1)),
    );
    try {
      await this.#answer(batch, abort.signal);
    } catch (error) {
      if (this.#ending.signal.aborted) return;
      if (isFatal(error)) {
        // The batch is not over: another start goes on with it.
        this.#ending.abort(error);
        this.#options.onFatal(error);
        return;
      }
      if (isOfTheFolder(error)) throw error;
      batch.status = 'failed';
      batch.failed_at = seconds();
      batch.errors = faultOf(error);
      await this.store.saveBatch(batch);
    } finally {
      clearTimeout(timer);
      this.#current = undefined;
    }
  }

  async #answer(batch: StoredBatch, signal: AbortSignal): Promise<void> {
    const { store, state, settings, ahead, onEnd } = this.#options;
    const input = store.pathOf(batch.input_file_id);
    const limits = { lines: MOST_LINES, lineBytes: state.policy.limits.bodyBytes };
    const { lines, faults } = await readBatchLines(input, limits, batch.endpoint);
    if (faults.length > 0) {
      batch.status = 'failed';
      batch.failed_at = seconds();
      batch.errors = { object: 'list', data: faults.map((fault) => ({ ...fault, param: null })) };
      await store.saveBatch(batch);
      return;
    }
    const journal = store.journalOf(batch.id);
    const parts = { input, lines, journal, mode: PRIVATE_FILE };
    let end: End = batch.status === 'cancelling' ? 'cancelled' : 'completed';
    if (end === 'completed') {
      batch.status = 'in_progress';
      batch.in_progress_at ??= seconds();
      await store.saveBatch(batch);
      const caller = { name: batch.owner, rights: new Set(batch.rights as readonly Right[]) };
      try {
        await runBatch({
          ...{ ...parts, settings, state, caller, ahead, signal, onEnd },
          onProgress: (counts) => (batch.request_counts = counts),
        });
      } catch (error) {
        if (signal.reason instanceof Cancelled) end = 'cancelled';
        else if (signal.reason instanceof Expired) end = 'expired';
        else if (this.#ending.signal.aborted || isFatal(error) || isOfTheFolder(error)) throw error;
        else {
          end = 'failed';
          batch.errors = faultOf(error);
        }
      }
    }
    await this.#finish(batch, parts, end);
  }

  async #finish(
    batch: StoredBatch,
    parts: Parameters<typeof writeResults>[0],
    end: End,
  ): Promise<void> {
    const { store } = this;
    if (end === 'completed') batch.status = 'finalizing';
    batch.finalizing_at = seconds();
    await store.saveBatch(batch);
    const ids = { output: newId('file-'), errors: newId('file-') };
    const [output, errors] = [store.pathOf(ids.output), store.pathOf(ids.errors)];
    const counts = await writeResults(parts, `${output}.new`, `${errors}.new`);
    batch.request_counts = counts;
    batch.output_file_id = await this.#keep(batch, ids.output, counts.completed, 'output');
    batch.error_file_id = await this.#keep(batch, ids.errors, counts.failed, 'errors');
    batch.status = end;
    batch[`${end}_at`] = seconds();
    await store.saveBatch(batch);
  }

  async #keep(batch: StoredBatch, id: string, lines: number, what: string): Promise<string | null> {
    const { store } = this;
    const path = store.pathOf(id);
    if (lines === 0) {
      await rm(`${path}.new`, { force: true });
      return null;
    }
    await rename(`${path}.new`, path);
    const created = seconds();
    await store.keepFile({
      ...{ id, owner: batch.owner, bytes: await store.sizeOf(id), purpose: 'batch_output' },
      ...{ created_at: created, expires_at: created + store.keptSeconds },
      filename: `${batch.id}_${what}.jsonl`,
    });
    return id;
  }
}
