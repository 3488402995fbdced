/** Stage 7: a folder of portraits of people never seen in training becomes a table, a sheet of what to check, and a report by group. */
import { copyFile, mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { annotate, FaceLlm } from 'facellm';

import { closedAttributes } from '../closed-attributes.js';
import { ATTRIBUTES, CHIPS, type Demo, GROUPS } from '../demo.js';
import { Interrupted } from '../interruption.js';
import { FACES } from '../portraits.js';
import type { Stage } from '../stage-cache.js';
import { RUN_FOLDER } from './training.js';

export interface FolderResult {
  readonly pictures: number;
  /** Of annotating alone. */
  readonly seconds: number;
  /** First lines of the table, cut short. */
  readonly head: readonly (readonly string[])[];
}

/** As a user has them: files, and nothing else. */
const PORTRAITS = 'portraits';
export const TABLE_FILE = 'portraits.csv';
export const SHEET_FILE = 'sheet.html';
const SHEET_ROWS = 24;
const SHOWN_ROWS = 4;

/** Columns of the label file. */
const GROUP_COLUMNS = GROUPS.map((name) => (name === 'age' ? 'age_bracket' : name));

async function layOut({ portraits, cache }: Demo): Promise<void> {
  for (const { file } of portraits.filter(({ split }) => split === 'test')) {
    const path = join(cache.path(PORTRAITS), file);
    await mkdir(dirname(path), { recursive: true });
    await copyFile(join(FACES, file), path);
  }
}

/** Names and answers: none of them has a comma or a quote. */
async function headOf(path: string): Promise<string[][]> {
  const rows = (await readFile(path, 'utf8')).split('\r\n').map((line) => line.split(','));
  const [names = []] = rows;
  const shown = ['file', ...ATTRIBUTES.flatMap((name) => [name, `${name}_p`])];
  const places = shown.map((name) => names.indexOf(name));
  return rows.slice(0, 1 + SHOWN_ROWS).map((cells) =>
    places.map((place, i) => {
      const cell = cells[place] ?? '';
      return i > 0 && cell !== '' && !Number.isNaN(Number(cell)) ? Number(cell).toFixed(2) : cell;
    }),
  );
}

async function annotateFolder(demo: Demo): Promise<FolderResult> {
  const { screen, cache, interruption, options, labels } = demo;
  await layOut(demo);
  await using model = await FaceLlm.load(cache.path(RUN_FOLDER), {
    device: 'cpu',
    threads: options.threads,
  });
  const startedAt = performance.now();
  const run = annotate({
    input: cache.path(PORTRAITS),
    output: cache.path(TABLE_FILE),
    model,
    questions: closedAttributes().map(({ name, question, choices }) => ({
      name,
      question,
      choices,
    })),
    // A row a picture, its face cut out as in training.
    faces: CHIPS,
    ...{ sheet: cache.path(SHEET_FILE), sheetRows: SHEET_ROWS },
    groups: { file: labels, columns: GROUP_COLUMNS },
    environment: {},
  });
  const result = await interruption.during(run, async () => {
    for await (const { done, total } of run) screen.progress(done, total, 'pictures');
  });
  if (result.missing > 0) throw new Interrupted('interrupted');
  const seconds = (performance.now() - startedAt) / 1000;
  return { pictures: result.pictures, seconds, head: await headOf(cache.path(TABLE_FILE)) };
}

export function folderStage(demo: Demo): Stage<FolderResult> {
  return {
    name: 'folder',
    inputs: { attributes: ATTRIBUTES, faces: CHIPS, groups: GROUP_COLUMNS, sheetRows: SHEET_ROWS },
    outputs: [...[PORTRAITS, TABLE_FILE, `${TABLE_FILE}.work`, `${TABLE_FILE}.groups`, SHEET_FILE]],
    run: () => annotateFolder(demo),
  };
}
