/** Which rows of a label file are taken: by split, and by what their columns say. */
import type { CsvRow } from '../../data/labels/csv-file.js';
import { createError } from '../../errors.js';
import { findColumn, type LabelFile, missingColumn } from './label-file.js';

export interface RowFilterOptions {
  /** Rows of this split only: by the column `split`, or, without one, by the first folder of the file's name. */
  readonly split?: string | undefined;
  /** Rows whose columns hold one of these values: `{ source: ['congress', 'london'] }`. */
  readonly where?: Readonly<Record<string, string | readonly string[]>> | undefined;
}

/**
 * The rows that pass, in their order.
 *
 * @param fileColumn where the picture's name stands
 * @throws DataError FACELLM_DATA_INVALID listing columns that do not exist, or if no row passes
 */
export function filterRows(
  file: LabelFile,
  fileColumn: number,
  { split, where = {} }: RowFilterOptions,
): readonly CsvRow[] {
  const problems: string[] = [];
  const tests: ((row: CsvRow) => boolean)[] = [];
  for (const [name, wanted] of Object.entries(where)) {
    const column = findColumn(file, [name]);
    const values = typeof wanted === 'string' ? [wanted] : wanted;
    if (column === -1) problems.push(missingColumn(file, name, 'where'));
    tests.push(({ cells }) => values.includes(cells[column] ?? ''));
  }
  if (split !== undefined) {
    const column = findColumn(file, ['split']);
    tests.push(({ cells }) =>
      column === -1
        ? (cells[fileColumn] ?? '').replace(/^\.\//, '').startsWith(`${split}/`)
        : cells[column] === split,
    );
  }
  if (problems.length > 0) {
    throw createError('FACELLM_DATA_INVALID', `${file.path}: the filter does not fit`, {
      details: problems,
    });
  }
  const rows = file.rows.filter((row) => tests.every((passes) => passes(row)));
  if (rows.length > 0 || file.problems.length > 0) return rows;
  throw createError(
    'FACELLM_DATA_INVALID',
    `${file.path}: none of ${file.rows.length} row(s) is of the split and values asked for`,
  );
}
