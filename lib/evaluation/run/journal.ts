/**
 * The journal of one process about one model: what it depends on, then a line for each question, durable
 * before the next is asked in its place. All journals of a folder together are the run, whoever wrote them.
 */
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { createError } from '../../errors.js';
import { type JournalEntry, JournalFile, readJournal } from '../../files/index.js';
import type { ItemOutcome } from '../types.js';
import { type RunSettings, settingDifferences } from './settings.js';

const FOLDER = /^rank-\d+$/;

export function rankFolder(output: string, rank: number): string {
  return join(output, `rank-${rank}`);
}

function journalName(model: string): string {
  return `${model}.jsonl`;
}

function checkHeader(path: string, entry: JournalEntry | undefined, settings: RunSettings): void {
  if (entry === undefined) return;
  const problems =
    entry['type'] === 'header'
      ? settingDifferences(settings, entry['settings'])
      : ['its first line is no header'];
  if (problems.length === 0) return;
  throw createError(
    'FACELLM_RUN_INVALID',
    `${path} belongs to a run with other settings; use them again, or another output folder`,
    { details: problems },
  );
}

/** An answer stays, whatever comes later; a failure gives way to what came of asking again. */
function keep(outcomes: Map<string, ItemOutcome>, outcome: ItemOutcome): void {
  const known = outcomes.get(outcome.id);
  if (known === undefined || known.failure !== undefined) outcomes.set(outcome.id, outcome);
}

/**
 * Everything that all processes have recorded about a model so far, by question.
 *
 * @throws TrainingError FACELLM_RUN_INVALID if a journal has other settings, listing them
 */
export async function readJournals(
  output: string,
  model: string,
  settings: RunSettings,
): Promise<Map<string, ItemOutcome>> {
  const folders = (await readdir(output)).filter((name) => FOLDER.test(name)).sort();
  const outcomes = new Map<string, ItemOutcome>();
  for (const folder of folders) {
    const path = join(output, folder, journalName(model));
    let isFirst = true;
    await readJournal(path, (entry) => {
      if (isFirst) checkHeader(path, entry, settings);
      isFirst = false;
      if (entry['type'] === 'outcome') keep(outcomes, entry['outcome'] as ItemOutcome);
    });
  }
  return outcomes;
}

/**
 * Opens or begins this process's journal about a model. Only the holder of the rank's lock may.
 *
 * @throws TrainingError FACELLM_RUN_WRITE, FACELLM_RUN_INVALID
 */
export async function openJournal(
  output: string,
  rank: number,
  model: string,
  settings: RunSettings,
): Promise<JournalFile> {
  const folder = rankFolder(output, rank);
  await mkdir(folder, { recursive: true });
  let header: JournalEntry | undefined;
  const file = await JournalFile.open(join(folder, journalName(model)), (entry) => {
    header ??= entry;
  });
  try {
    checkHeader(file.path, header, settings);
    if (header === undefined) file.append({ type: 'header', settings });
    await file.durable();
  } catch (error) {
    await file.close();
    throw error;
  }
  return file;
}
