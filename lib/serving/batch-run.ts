/**
 * All lines of a batch, many at a time, each answer in a journal before it counts: killed at any point, the same call goes on.
 * What a batch's server does, and what `facellm batch` does without one.
 */
import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { open } from 'node:fs/promises';

import { createError } from '../errors.js';
import {
  AtomicFile,
  isJsonObject,
  JournalFile,
  type JournalLine,
  sha256OfFile,
} from '../files/index.js';
import { mapBounded } from '../jobs/index.js';
import { answerLine } from './batch-answer.js';
import type { BatchLine } from './batch-lines.js';
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
    if (this.#places.has(customId)) return;
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

async function openJournal({
  journal: path,
  input,
  lines,
}: Pick<BatchRunOptions, 'journal' | 'input' | 'lines'>): Promise<{
  readonly journal: JournalFile;
  readonly answers: BatchAnswers;
}> {
  const answers = new BatchAnswers(lines.length);
  let header: unknown;
  const journal = await JournalFile.open(path, (entry, place) => {
    if (entry['type'] === 'batch') header = entry['input'];
    const { custom_id: id, response } = entry;
    if (typeof id === 'string' && isJsonObject(response)) {
      answers.add(id, Number(response['status_code']), place);
    }
  });
  const hash = await sha256OfFile(input, (cause) =>
    createError('FACELLM_DATA_NOT_FOUND', `${input} cannot be read; it was there a moment ago`, {
      cause,
    }),
  );
  if (header === undefined) journal.append({ type: 'batch', input: hash });
  else if (header !== hash) {
    await journal.close();
    throw createError(
      'FACELLM_RUN_INVALID',
      `${path} belongs to another input file, or the file has changed; use that one again, or name another output`,
    );
  }
  return { journal, answers };
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
    const { body } = JSON.parse(bytes.toString('utf8')) as { readonly body: object };
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
 * @param errors gets the lines that failed
 */
export async function writeResults(
  options: Pick<BatchRunOptions, 'journal' | 'input' | 'lines'>,
  output: string,
  errors: string,
): Promise<BatchCounts> {
  const { journal, answers } = await openJournal(options);
  const files = [await AtomicFile.open(output), await AtomicFile.open(errors)] as const;
  try {
    for (const { customId } of options.lines) {
      const place = answers.get(customId);
      if (place === undefined) continue;
      const [entry] = await journal.read([place]);
      await files[place.isError ? 1 : 0].write(`${JSON.stringify(entry)}\n`);
    }
    const { completed, failed } = answers.counts;
    if (completed > 0 || failed === 0) await files[0].commit();
    if (failed > 0) await files[1].commit();
    return answers.counts;
  } finally {
    for (const file of files) await file.discard();
    await journal.close();
  }
}
