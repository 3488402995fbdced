/** A label file with its pictures: which rows can be used, and where their pictures lie. */
import { received } from '../../options/describe.js';
import { existingFolder, findPictures, normaliseFile } from '../../data/labels/image-folder.js';
import { createError } from '../../errors.js';
import {
  findColumn,
  findLabelFile,
  type LabelFile,
  type LabelFileRow,
  labelProblems,
  type LabelProblem,
  missingColumn,
  readLabelFile,
} from './label-file.js';
import type { DataOptions } from '../types.js';
import { filterRows, type RowFilterOptions } from './row-filter.js';

/** File names are relative to `data`; FairFace's published folders inside it are found too. */
export interface LabelledPicturesOptions
  extends Pick<DataOptions, 'data' | 'onInvalid'>, RowFilterOptions {
  /** Path of the CSV. @default labels.csv, fairface_label_val.csv or fairface_label_train.csv in `data` */
  readonly labels?: string | undefined;
  /**
   * Columns of the CSV by what they hold, such as `{ file: 'path', age: 'age_years' }`.
   * @default the name itself
   */
  readonly columns?: Readonly<Record<string, string>> | undefined;
}

export interface LabelledPicture {
  /** As in the CSV, normalised: unique. */
  readonly file: string;
  /** Absolute. */
  readonly path: string;
  readonly line: number;
  readonly cells: readonly string[];
}

export interface LabelledPictures<Layout> {
  readonly file: LabelFile;
  /** Where the file says what. */
  readonly layout: Layout;
  /** In the order of the CSV; never empty. */
  readonly pictures: readonly LabelledPicture[];
  /** Rows left out as faulty; 0 unless `onInvalid` is 'skip'. */
  readonly skipped: number;
}

/** What is wrong with the cells of one row, beyond its picture. */
export type CheckCells = (cells: readonly string[]) => readonly string[];

/** A row with a file name that could be made out. */
interface NamedRow extends LabelFileRow {
  readonly name: string;
}

/** Rows whose picture's name is sound and new; what is wrong with others goes to `problems`. */
function nameRows(
  rows: readonly LabelFileRow[],
  column: number,
  problems: LabelProblem[],
): readonly NamedRow[] {
  const firstLine = new Map<string, number>();
  return rows.flatMap((row) => {
    const written = row.cells[column] ?? '';
    const name = normaliseFile(written);
    if (name === undefined) {
      const text = `file: expected a path inside the image folder, ${received(written)}`;
      problems.push({ line: row.line, text });
      return [];
    }
    const before = firstLine.get(name);
    if (before !== undefined) {
      problems.push({ line: row.line, text: `file: ${name} already stands in line ${before}` });
      return [];
    }
    firstLine.set(name, row.line);
    return [{ ...row, name }];
  });
}

/**
 * Reads the label file and looks for the pictures; nothing is decoded.
 *
 * @param place finds the columns
 * @param check of each row's cells
 * @throws DataError FACELLM_DATA_NOT_FOUND if folder or label file is absent; FACELLM_DATA_INVALID with one detail
 * per problem ("line 17: …"); with `onInvalid: 'skip'` the last only if no row is left
 */
export async function readLabelledPictures<Layout>(
  options: LabelledPicturesOptions,
  place: (file: LabelFile) => Layout,
  check: (layout: Layout) => CheckCells = () => () => [],
): Promise<LabelledPictures<Layout>> {
  const folder = await existingFolder(options.data, 'pictures');
  const file = await readLabelFile(options.labels ?? (await findLabelFile(folder)));
  const fileName = options.columns?.['file'] ?? 'file';
  const column = findColumn(file, [fileName]);
  if (column === -1) {
    throw createError(
      'FACELLM_DATA_INVALID',
      `${file.path}: ${missingColumn(file, fileName, 'the pictures')} (columns.file names another)`,
    );
  }
  const layout = place(file);
  const checkCells = check(layout);
  const rows = filterRows(file, column, options);
  const problems: LabelProblem[] = [...file.problems];
  const named = nameRows(rows, column, problems);
  for (const { line, cells } of rows) {
    for (const text of checkCells(cells)) problems.push({ line, text });
  }
  const find = await findPictures(
    folder,
    named.map(({ name }) => name),
  );
  for (const { name, line } of named) {
    const { path, problem } = find(name);
    if (problem !== undefined) problems.push({ line, text: `picture ${path} ${problem}` });
  }
  const faulty = new Set(problems.map(({ line }) => line));
  const pictures = named
    .filter(({ line }) => !faulty.has(line))
    .map(({ name, line, cells }) => ({ file: name, path: find(name).path, line, cells }));
  const count = rows.length + file.problems.length;
  if (pictures.length === 0 || (faulty.size > 0 && options.onInvalid !== 'skip')) {
    throw labelProblems(file.path, count, problems);
  }
  return { file, layout, pictures, skipped: faulty.size };
}
