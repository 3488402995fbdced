/** Rows of a label CSV that name a picture each: which can be used, where their pictures lie, what is wrong with the others. */
import { received } from '../../options/describe.js';
import { type CsvRow, invalidLabels } from './csv-file.js';
import { findPictures, normaliseFile } from './image-folder.js';

export interface PictureRow extends CsvRow {
  /** The picture's name as in the CSV, normalised: unique. */
  readonly file: string;
  /** Absolute. */
  readonly path: string;
}

export interface RowProblem {
  readonly line: number;
  readonly text: string;
}

export interface RowChecks {
  /** Where the name of a row's picture stands. */
  readonly column: number;
  /** Of messages: `picture`. */
  readonly noun: string;
  /** What is wrong with a row's cells, beyond its picture. */
  readonly check: (cells: readonly string[]) => readonly string[];
}

/** Rows of another length than the header: what is wrong with them. */
export function lengthProblems(rows: readonly CsvRow[], width: number): RowProblem[] {
  return rows.flatMap(({ line, cells }) =>
    cells.length === width
      ? []
      : [{ line, text: `expected ${width} cells as in the header, received ${cells.length}` }],
  );
}

/** Reads rows of the header's length and looks for the pictures in a folder; nothing is decoded. */
export async function findPictureRows(
  rows: readonly CsvRow[],
  folder: string,
  { column, noun, check }: RowChecks,
): Promise<{ readonly usable: readonly PictureRow[]; readonly problems: readonly RowProblem[] }> {
  const firstLine = new Map<string, number>();
  const problems: RowProblem[] = [];
  for (const { line, cells } of rows) {
    const written = cells[column] ?? '';
    const file = normaliseFile(written);
    if (file === undefined) {
      const text = `file: expected a path inside the image folder, ${received(written)}`;
      problems.push({ line, text });
    }
    for (const text of check(cells)) problems.push({ line, text });
    if (file === undefined) continue;
    const before = firstLine.get(file);
    if (before === undefined) firstLine.set(file, line);
    else problems.push({ line, text: `file: ${file} already stands in line ${before}` });
  }
  const find = await findPictures(folder, [...firstLine.keys()]);
  for (const [file, line] of firstLine) {
    const { path, problem } = find(file);
    if (problem !== undefined) problems.push({ line, text: `${noun} ${path} ${problem}` });
  }
  const faulty = new Set(problems.map(({ line }) => line));
  const usable = rows.flatMap((row) => {
    const file = normaliseFile(row.cells[column] ?? '') ?? '';
    return faulty.has(row.line) ? [] : [{ ...row, file, path: find(file).path }];
  });
  return { usable, problems };
}

/** Every problem by its line, as one error to throw. */
export function unusableRows(path: string, count: number, problems: readonly RowProblem[]): Error {
  const lines = new Set(problems.map(({ line }) => line)).size;
  return invalidLabels(
    `${path}: ${lines} of ${count} row(s) cannot be used; correct them, or leave them out with onInvalid 'skip' (--skip-invalid)`,
    [...problems].sort((a, b) => a.line - b.line).map(({ line, text }) => `line ${line}: ${text}`),
  );
}
