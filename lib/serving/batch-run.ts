/**
 * All lines of a batch, many at a time, each answer in a journal before it counts: killed at any point, the same call goes on.
 * What a batch's server does, and what `facellm batch` does without one.
 */
import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { open, rm } from 'node:fs/promises';

import { createError } from '../errors.js';
import {
  AtomicFile,
  isJsonObject,
  type JournalEntry,
  type JsonObject,
  JournalFile,
  type JournalLine,
  sha256OfFile,
} from '../files/index.js';
import { mapBounded } from '../jobs/index.js';
import { answerLine } from './batch-answer.js';
import { type BatchLine, lineText } from './batch-lines.js';
import type { Caller } from './keys.js';
import type { RequestFacts } from './request-facts.js';
import type { EngineState } from './state.js';

export interface BatchCounts {
  readonly total: number;
  readonly completed: number;
  readonly failed: number;
}

export interface BatchRunOptions {
  readonly state: EngineState;
  readonly caller: Caller;
  /** JSON lines. */
  readonly input: string;
  readonly lines: readonly BatchLine[];
  readonly journal: string;
  /** What answers follow from besides the input; a journal begun with others is refused. @default nothing is held against it */
  readonly settings?: Readonly<Record<string, unknown>> | undefined;
  /** Of the journal and of results. @default as the process's files are */
  readonly mode?: number | undefined;
  /** Asks lines again that failed. @default false */
  readonly retryFailed?: boolean | undefined;
  /** Lines under way at a time. */
  readonly ahead: number;
  readonly signal: AbortSignal;
  readonly onProgress: (counts: BatchCounts) => void;
  readonly onEnd?: (facts: RequestFacts, status: number, code?: string) => void;
}

/** Where each line's answer stands in the journal. */
export class BatchAnswers {
  readonly #places = new Map<string, JournalLine & { readonly isError: boolean }>();
  readonly #total: number;
  #failed = 0;

  constructor(total: number) {
    this.#total = total;
  }

  add(customId: string, status: number, place: JournalLine): void {
    const before = this.#places.get(customId);
    // An answer stays; a failure gives way to what came of asking again.
    if (before?.isError === false) return;
    if (before !== undefined) this.#failed--;
    const isError = status >= 300;
    this.#places.set(customId, { ...place, isError });
    if (isError) this.#failed++;
  }

  get(customId: string): (JournalLine & { readonly isError: boolean }) | undefined {
    return this.#places.get(customId);
  }

  get counts(): BatchCounts {
    const failed = this.#failed;
    return { total: this.#total, completed: this.#places.size - failed, failed };
  }
}

type JournalOptions = Pick<
  BatchRunOptions,
  'journal' | 'input' | 'lines' | 'settings' | 'mode' | 'retryFailed'
>;

/** @param options with `retryFailed` failures are forgotten */
async function openJournal({
  journal: path,
  input,
  lines,
  settings,
  mode,
  retryFailed = false,
}: JournalOptions): Promise<{
  readonly journal: JournalFile;
  readonly answers: BatchAnswers;
}> {
  const answers = new BatchAnswers(lines.length);
  let header: JsonObject | undefined;
  const read = (entry: JournalEntry, place: JournalLine): void => {
    if (entry['type'] === 'batch') header = entry;
    const { custom_id: id, response } = entry;
    if (typeof id === 'string' && isJsonObject(response)) {
      const status = Number(response['status_code']);
      if (!retryFailed || status < 300) answers.add(id, status, place);
    }
  };
  const journal = await JournalFile.open(path, read, mode);
  const hash = await sha256OfFile(input, (cause) =>
    createError('FACELLM_DATA_NOT_FOUND', `${input} cannot be read; it was there a moment ago`, {
      cause,
    }),
  );
  const own = { type: 'batch', input: hash, ...settings };
  if (header === undefined) journal.append(own);
  else {
    try {
      // What is only read out is whose input it is; settings of a header that has none were not written yet when it was begun.
      const isBare = Object.keys(header).every((name) => name === 'type' || name === 'input');
      const isOfInput = settings === undefined || isBare;
      refuseOthers(
        path,
        isOfInput ? { input: header['input'] } : header,
        isOfInput ? { input: hash } : own,
      );
      if (settings !== undefined && isBare) journal.append(own);
    } catch (error) {
      await journal.close();
      throw error;
    }
  }
  return { journal, answers };
}

function refuseOthers(path: string, before: JsonObject, now: JsonObject): void {
  if (before['input'] !== now['input']) {
    throw createError(
      'FACELLM_RUN_INVALID',
      `${path} belongs to another input file, or the file has changed; use that one again, or name another output`,
    );
  }
  const names = Object.keys({ ...before, ...now }).filter((name) => name !== 'type');
  const details = names.flatMap((name) => {
    const [then, given] = [before, now].map((one) => JSON.stringify(one[name]) ?? 'nothing');
    return then === given ? [] : [`${name}: begun with ${then}, now ${given}`];
  });
  if (details.length === 0) return;
  const message = `${path} belongs to a run with other settings; use them again, or name another output`;
  throw createError('FACELLM_RUN_INVALID', message, { details });
}

/** @throws the signal's reason, with all answers until then kept; TrainingError FACELLM_RUN_INVALID, FACELLM_RUN_WRITE */
export async function runBatch(options: BatchRunOptions): Promise<BatchCounts> {
  const { state, caller, input, lines, ahead, signal, onProgress, onEnd } = options;
  const opened = await openJournal(options);
  const { answers } = opened;
  setMaxListeners(0, signal); // a listener for each line under way
  await using journal = opened.journal;
  await using handle = await open(input, 'r');
  onProgress(answers.counts);
  const left = lines.filter(({ customId }) => answers.get(customId) === undefined);
  await mapBounded(left, ahead, async ({ customId, url, start, length }) => {
    signal.throwIfAborted();
    const bytes = Buffer.alloc(length);
    await handle.read(bytes, 0, length, start);
    const { body } = JSON.parse(lineText(bytes) ?? '') as { readonly body: object };
    const answer = await answerLine(state, caller, url, body, signal, onEnd);
    const response = {
      status_code: answer.status,
      request_id: answer.requestId,
      body: answer.body,
    };
    const id = `batch_req_${randomUUID().replaceAll('-', '')}`;
    const place = journal.append({ id, custom_id: customId, response, error: null });
    await journal.durable();
    answers.add(customId, answer.status, place);
    onProgress(answers.counts);
  });
  return answers.counts;
}

/**
 * From the journal to what people read, in the order of the input, lines that are not answered left out.
 *
 * @param errors gets the lines that failed; not there where none did
 */
export async function writeResults(
  options: Omit<JournalOptions, 'retryFailed'>,
  output: string,
  errors: string,
): Promise<BatchCounts> {
  const { mode } = options;
  const { journal, answers } = await openJournal(options);
  const files = [await AtomicFile.open(output, mode), await AtomicFile.open(errors, mode)] as const;
  try {
    for (const { customId } of options.lines) {
      const place = answers.get(customId);
      if (place === undefined) continue;
      const [entry] = await journal.read([place]);
      await files[place.isError ? 1 : 0].write(`${JSON.stringify(entry)}\n`);
    }
    await files[0].commit();
    if (answers.counts.failed > 0) await files[1].commit();
    else await rm(errors, { force: true }); // of a run before
    return answers.counts;
  } finally {
    for (const file of files) await file.discard();
    await journal.close();
  }
}
