/** What becomes of faulty records: one error that lists them, or a report beside the data. */
import { randomUUID } from 'node:crypto';
import { rename, rm, writeFile } from 'node:fs/promises';

import { createError, type FaceLlmError } from '../errors.js';
import { firstDetails, systemCode } from '../files/index.js';
import type { SkippedRecord } from './types.js';

export interface FaultyRecord extends SkippedRecord {
  /** Line of a JSONL file, counted from 1. */
  readonly line: number | undefined;
}

/** FACELLM_DATA_INVALID with one detail per problem, the first 1000 of them. */
export function invalidRecords(dataset: {
  readonly file: string;
  readonly faulty: readonly FaultyRecord[];
  /** Of all records that were checked. */
  readonly count: number;
}): FaceLlmError {
  const { file, faulty, count } = dataset;
  const details = faulty.flatMap(({ index, line, problems }) => {
    const place = line === undefined ? `record ${index}` : `record ${index} (line ${line})`;
    return problems.map((problem) => `${place}: ${problem}`);
  });
  return createError(
    'FACELLM_DATA_INVALID',
    `${file}: ${faulty.length} of ${count} record(s) cannot be used; correct them, or leave them out with onInvalid 'skip'`,
    { details: firstDetails(details) },
  );
}

/**
 * Writes a report of what was left out: JSONL, one `{"index", "problems"}` a line. The file is whole
 * or not there: it replaces an older one only when complete.
 *
 * @throws TrainingError FACELLM_RUN_WRITE
 */
export async function writeSkipped(path: string, skipped: readonly SkippedRecord[]): Promise<void> {
  const lines = skipped.map(({ index, problems }) => `${JSON.stringify({ index, problems })}\n`);
  const part = `${path}.${randomUUID()}.part`;
  try {
    await writeFile(part, lines.join(''), { flush: true });
    await rename(part, path);
  } catch (cause) {
    await rm(part, { force: true });
    throw createError(
      'FACELLM_RUN_WRITE',
      `${path} cannot be written (${systemCode(cause)}); check that its folder exists and has room`,
      { cause },
    );
  }
}
