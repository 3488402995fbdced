/**
 * A label CSV and its pictures: every row checked against FairFace's vocabulary, every picture looked
 * up. All that is wrong is reported at once, by line.
 */
import { createError } from '../../errors.js';
import { didYouMean, received } from '../../options/describe.js';
import {
  type ColumnMap,
  type ColumnOptions,
  columnOptionProblems,
  mapColumns,
} from './column-map.js';
import { type CsvRow, invalidLabels, readCsv } from './csv-file.js';
import { existingFolder } from './image-folder.js';
import { findPictureRows, lengthProblems, unusableRows } from './picture-rows.js';
import { rangeOfDate } from './spreadsheet-date.js';
import { type Attribute, type FaceLabels, VOCABULARY } from './vocabulary.js';

export interface ReadLabelsOptions extends ColumnOptions {
  /** Path of the CSV file. */
  readonly labels: string;
  /** Folder of the pictures. */
  readonly images: string;
  /** Throw if any row is wrong, or leave such rows out. @default 'error' */
  readonly onInvalid?: 'error' | 'skip' | undefined;
  /** Takes the first rows only, after `where`; the others are not checked. @default all */
  readonly maxImages?: number | undefined;
}

/** One picture with what is known of it. */
export interface LabelledImage {
  /** As in the CSV, normalised. */
  readonly file: string;
  /** Absolute. */
  readonly path: string;
  readonly labels: FaceLabels;
  /** Whose picture it is, as the CSV says; absent where it does not. */
  readonly person?: string | undefined;
  /** Of the CSV file, counted from 1. */
  readonly line: number;
}

export interface SkippedRow {
  readonly line: number;
  readonly problems: readonly string[];
}

export interface LabelledImages {
  /** In the order of the CSV; never empty. */
  readonly images: readonly LabelledImage[];
  /** Empty unless `onInvalid` is 'skip'. */
  readonly skipped: readonly SkippedRow[];
  /** Rows that `where` left out. */
  readonly otherRows: number;
  /** Of the CSV's bytes, in lower-case hex. */
  readonly sha256: string;
  /** The columns are FairFace's as published. */
  readonly isFairFace: boolean;
}

/** What an unknown word probably was, and how it is read all the same. */
function remedyFor(attribute: Attribute, cell: string, value: string): string {
  const known = VOCABULARY[attribute];
  const range = rangeOfDate(value, known);
  if (range === undefined) return didYouMean(value, known);
  return `a spreadsheet made a date of ${range}; read it with --value "${attribute}:${cell}=${range}" (values: { ${attribute}: { '${cell}': '${range}' } })`;
}

function readLabel(
  attribute: Attribute,
  cell: string,
  map: ColumnMap,
  options: ColumnOptions,
  problems: string[],
): string | undefined {
  const words = options.values?.[attribute] ?? {};
  const value = Object.hasOwn(words, cell) ? (words[cell] ?? cell) : cell;
  const known: readonly string[] = VOCABULARY[attribute];
  if (known.includes(value)) return value;
  if (value === '' && !map.isFairFace) return undefined;
  problems.push(
    value === ''
      ? `${attribute}: is empty; expected one of ${known.join(', ')}`
      : `${attribute}: ${received(cell).slice('received '.length)} is unknown; ${remedyFor(attribute, cell, value)}`,
  );
  return undefined;
}

/** What a row says of its picture, and what is wrong with it. */
function labelsOf(
  cells: readonly string[],
  map: ColumnMap,
  options: ColumnOptions,
): { readonly labels: FaceLabels; readonly problems: readonly string[] } {
  const problems: string[] = [];
  const labels: { [attribute in Attribute]?: string } = {};
  for (const [attribute, at] of map.attributes) {
    const value = readLabel(attribute, cells[at] ?? '', map, options, problems);
    if (value !== undefined) labels[attribute] = value;
  }
  if (problems.length === 0 && Object.keys(labels).length === 0) {
    problems.push('no attribute is known; expected at least one label');
  }
  return { labels, problems };
}

interface Table extends Pick<LabelledImages, 'otherRows' | 'sha256'> {
  readonly map: ColumnMap;
  readonly width: number;
  readonly rows: readonly CsvRow[];
}

async function readTable(options: ReadLabelsOptions): Promise<Table> {
  const { header, rows: written, sha256 } = await readCsv(options.labels);
  const problems: string[] = [];
  const map = mapColumns(header, options, (problem) => problems.push(problem));
  if (problems.length > 0) {
    throw invalidLabels(
      `${options.labels}: the header does not fit; columns: ${header.join(', ')}`,
      problems,
    );
  }
  const rows: CsvRow[] = [];
  let otherRows = 0;
  for (const row of written) {
    // A row of a wrong length cannot be told to belong elsewhere: it is reported.
    const isWhole = row.cells.length === header.length;
    if (isWhole && !map.where.every(([at, value]) => row.cells[at] === value)) otherRows++;
    else if (rows.length < (options.maxImages ?? Infinity)) rows.push(row);
  }
  return { map, width: header.length, rows, otherRows, sha256 };
}

/**
 * Reads labels and looks for the pictures; nothing is decoded.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT
 * @throws DataError FACELLM_DATA_NOT_FOUND if the CSV or the folder is absent; FACELLM_DATA_INVALID with
 * one detail per problem ("line 17: …"): unknown values, missing pictures, files named twice
 */
export async function readLabels(options: ReadLabelsOptions): Promise<LabelledImages> {
  const wrong = columnOptionProblems(options);
  if (wrong.length > 0) {
    throw createError('FACELLM_INVALID_ARGUMENT', 'the column mapping is wrong', {
      details: wrong,
    });
  }
  const folder = await existingFolder(options.images, 'images');
  const { map, width, rows, otherRows, sha256 } = await readTable(options);
  const whole = rows.filter(({ cells }) => cells.length === width);
  const { usable, problems: found } = await findPictureRows(whole, folder, {
    ...{ column: map.file, noun: 'image' },
    check: (cells) => labelsOf(cells, map, options).problems,
  });
  const problems = [...lengthProblems(rows, width), ...found];
  const faulty = new Map<number, string[]>();
  for (const { line, text } of problems) faulty.set(line, [...(faulty.get(line) ?? []), text]);
  const skipped = [...faulty]
    .map(([line, texts]) => ({ line, problems: texts }))
    .sort((a, b) => a.line - b.line);
  const images = usable.map(({ file, path, line, cells }) => {
    const person = cells[map.person] ?? '';
    const { labels } = labelsOf(cells, map, options);
    return { file, path, line, labels, ...(person === '' ? {} : { person }) };
  });
  if (rows.length === 0) {
    throw invalidLabels(
      `${options.labels} has no rows to use (${otherRows} left out by where)`,
      [],
    );
  }
  if (images.length === 0 || (skipped.length > 0 && options.onInvalid !== 'skip')) {
    throw unusableRows(options.labels, rows.length, problems);
  }
  return { images, skipped, otherRows, sha256, isFairFace: map.isFairFace };
}
