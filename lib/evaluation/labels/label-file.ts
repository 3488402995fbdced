/** Rows of a label CSV as they are written, by column, with their lines. What cells mean is others' business. */
import { join } from 'node:path';

import { type CsvRow, readCsv } from '../../data/labels/csv-file.js';
import { lengthProblems, type RowProblem } from '../../data/labels/picture-rows.js';
import { didYouMean } from '../../options/describe.js';
import { isFile } from '../../data/lookup.js';
import { createError } from '../../errors.js';

/** Looked for in a data folder, in this order, where no label file is named. */
const USUAL_NAMES = ['labels.csv', 'fairface_label_val.csv', 'fairface_label_train.csv'];

export interface LabelFile {
  readonly path: string;
  readonly header: readonly string[];
  /** Those of the header's length. */
  readonly rows: readonly CsvRow[];
  /** Rows of a wrong length, which are in no other list: "line 7: …". */
  readonly problems: readonly RowProblem[];
  /** Of its bytes. */
  readonly sha256: string;
}

/**
 * The label file of a data folder.
 *
 * @throws DataError FACELLM_DATA_NOT_FOUND naming the files looked for
 */
export async function findLabelFile(folder: string): Promise<string> {
  for (const name of USUAL_NAMES) {
    const path = join(folder, name);
    if (await isFile(path)) return path;
  }
  throw createError(
    'FACELLM_DATA_NOT_FOUND',
    `${folder} holds none of ${USUAL_NAMES.join(', ')}; name the label file with \`labels\``,
  );
}

/**
 * Reads a CSV file whole; its first row names the columns.
 *
 * @throws DataError FACELLM_DATA_NOT_FOUND; FACELLM_DATA_INVALID if it is no CSV, is empty, or names a column twice
 */
export async function readLabelFile(path: string): Promise<LabelFile> {
  const { header, rows: written, sha256 } = await readCsv(path);
  const rows = written.filter(({ cells }) => cells.length === header.length);
  const problems = lengthProblems(written, header.length);
  const twice = header.filter((name, i) => header.indexOf(name) !== i);
  if (twice.length > 0) {
    throw createError('FACELLM_DATA_INVALID', `${path}: columns stand twice: ${twice.join(', ')}`);
  }
  return { path, header, rows, problems, sha256 };
}

/** Where the first of these columns stands, counted from 0; -1 if the file has none of them. */
export function findColumn({ header }: LabelFile, names: readonly string[]): number {
  const found = names.find((name) => header.includes(name));
  return found === undefined ? -1 : header.indexOf(found);
}

/** "there is no column …" with what was probably meant. */
export function missingColumn({ header }: LabelFile, name: string, purpose: string): string {
  return `there is no column ${name} for ${purpose}; ${didYouMean(name, header)}`;
}
