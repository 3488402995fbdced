/** From the journals to what people read: rows in the order of the list, one at a time, each file whole or not there. */
import { ParquetFile } from '../data/index.js';
import { AtomicFile, csvLine } from '../files/index.js';
import type { AnnotationRow, RowStatus } from './annotate-picture.js';
import type { AnnotationField } from './columns.js';
import type { Places } from './places.js';
import { pointsColumn, pointsOf, tableColumns, tableRow } from './table.js';
import type { Settings } from './work-folder.js';

/** Takes all rows, then makes its files. */
export interface RowSink {
  write(row: AnnotationRow): Promise<void> | void;
  commit(): Promise<void>;
  /** Of what is not committed. */
  discard(): Promise<void>;
}

export interface Composed {
  readonly rows: number;
  /** Rows by status. */
  readonly statuses: Readonly<Partial<Record<RowStatus, number>>>;
}

export interface TableOptions {
  readonly fields: readonly AnnotationField[];
  readonly isCalibrated: boolean;
  /** Of CSV: texts as they are, also those that begin as formulas. */
  readonly isRaw: boolean;
  /** Of the run: they stand in Parquet's metadata. */
  readonly settings: Settings;
}

const GROUP_ROWS = 20_000;

/** @param path ends in .parquet, .csv or .jsonl */
export async function openTable(
  path: string,
  { fields, isCalibrated, isRaw, settings }: TableOptions,
): Promise<RowSink> {
  const columns = tableColumns(fields, isCalibrated);
  const cells = (row: AnnotationRow) => tableRow(row, fields, isCalibrated);
  if (path.endsWith('.parquet')) {
    const metadata = { 'facellm.run': JSON.stringify(settings) };
    const options = { groupRows: GROUP_ROWS, metadata };
    const file = await ParquetFile.open(path, [...columns, pointsColumn], options);
    return {
      write: (row) => file.write([...cells(row), pointsOf(row)]),
      commit: () => file.commit(),
      discard: () => file.discard(),
    };
  }
  const file = await AtomicFile.open(path);
  const isCsv = path.endsWith('.csv');
  if (isCsv) await file.write(csvLine(columns.map(({ name }) => name)));
  return {
    write: (row) => file.write(isCsv ? csvLine(cells(row), { isRaw }) : `${JSON.stringify(row)}\n`),
    commit: () => file.commit(),
    discard: () => file.discard(),
  };
}

export async function compose(
  places: Places,
  open: readonly (() => Promise<RowSink> | RowSink)[],
): Promise<Composed> {
  const sinks: RowSink[] = [];
  const statuses: Partial<Record<RowStatus, number>> = {};
  let count = 0;
  try {
    for (const one of open) sinks.push(await one());
    for await (const { rows } of places.lines()) {
      for (const row of rows) {
        for (const sink of sinks) await sink.write(row);
        statuses[row.status] = (statuses[row.status] ?? 0) + 1;
        count++;
      }
    }
    for (const sink of sinks) await sink.commit();
  } finally {
    for (const sink of sinks) await sink.discard();
  }
  return { rows: count, statuses };
}
