/** The rows of a CSV file of labels as they are written, each with its line. What cells mean is others' business. */
import { CsvError, parse } from 'csv-parse/sync';

import { createError } from '../../errors.js';
import { firstDetails, readDataText } from '../../files/index.js';

export interface CsvRow {
  /** Without surrounding white space. */
  readonly cells: readonly string[];
  /** Of the file, counted from 1. */
  readonly line: number;
}

export interface CsvFile {
  /** The first row: names of columns. */
  readonly header: readonly string[];
  /** The others, also those of another length. */
  readonly rows: readonly CsvRow[];
  /** Of the file's bytes, in lower-case hex. */
  readonly sha256: string;
}

/** FACELLM_DATA_INVALID with the first 1000 details. */
export function invalidLabels(message: string, details: readonly string[], cause?: unknown): Error {
  return createError('FACELLM_DATA_INVALID', message, { details: firstDetails(details), cause });
}

/** Line breaks inside quoted cells. */
function lineBreaks(cells: readonly string[]): number {
  return cells.reduce((sum, cell) => sum + (cell.match(/\r\n|\r|\n/g)?.length ?? 0), 0);
}

function parseRows(text: string, path: string): CsvRow[] {
  let nextLine = 1;
  try {
    const parsed = parse(text, {
      info: true,
      relax_column_count: true,
      skip_empty_lines: true,
      record_delimiter: ['\r\n', '\n', '\r'],
    }) as unknown as { record: string[]; info: { lines: number } }[];
    return parsed.map(({ record, info }) => {
      // csv-parse tells where a row ends; a row begins after the last one.
      const line = Math.max(nextLine, info.lines - lineBreaks(record));
      nextLine = info.lines + 1;
      return { cells: record.map((cell) => cell.trim()), line };
    });
  } catch (cause) {
    if (!(cause instanceof CsvError)) throw cause;
    throw invalidLabels(`${path} is no CSV file: ${cause.message}`, [], cause);
  }
}

/** Semicolons where the decimal sign is a comma, tabs from a spreadsheet's clipboard. */
function checkSeparator(header: readonly string[], path: string): void {
  const [only = '', ...others] = header;
  const separator = /[;\t|]/.exec(only)?.[0];
  if (others.length > 0 || separator === undefined) return;
  const name = separator === '\t' ? 'tabs' : separator;
  throw invalidLabels(
    `${path}: cells are parted by ${name}, expected commas; save it with commas between cells`,
    [],
  );
}

/**
 * Reads a CSV file whole: UTF-8, with or without a byte order mark, cells parted by commas.
 *
 * @throws DataError FACELLM_DATA_NOT_FOUND; FACELLM_DATA_INVALID if it is not UTF-8 (one detail a line), no CSV,
 * empty, or parted by another sign
 */
export async function readCsv(path: string): Promise<CsvFile> {
  const { text, sha256 } = await readDataText(
    path,
    (code) => `${path} cannot be read (${code}); expected a CSV file of labels`,
  );
  const [first, ...rows] = parseRows(text, path);
  if (first === undefined) {
    throw invalidLabels(`${path} is empty; expected a header and rows`, []);
  }
  checkSeparator(first.cells, path);
  return { header: first.cells, rows, sha256 };
}
