/** What the reports on labelled pictures share: their options, their frame, their tables and plots of groups. */
import type { Gap } from '../metrics/groups.js';
import { CONFIDENCE, type Interval, wilsonInterval } from '../metrics/wilson.js';
import { type GroupsChartOptions, groupsSpec } from '../report/charts/groups.js';
import { type CsvCell, csvOf } from '../report/csv.js';
import { type Block, cellsOf, type ReportDocument, type TableBlock } from '../report/document.js';
import { formatShare, roundedJson } from '../report/numbers.js';
import { writeReport } from '../report/write.js';
import type {
  Benchmark,
  BenchmarkSummary,
  EvaluationItem,
  ModelRun,
  ReportOptions,
} from '../types.js';
import type { GroupColumn } from './groups.js';

/** What an analysis is made from. */
export interface PairedOptions {
  readonly items: readonly EvaluationItem[];
  /** The first is what the others are compared with. */
  readonly runs: readonly ModelRun[];
  readonly groups: readonly GroupColumn[];
  readonly readings: Benchmark['readings'];
  /** Groups of fewer items are marked and decide no gap. */
  readonly smallGroup: number;
  readonly seed: number;
}

export interface PairedReportOptions extends PairedOptions, ReportOptions {
  /** An existing folder. */
  readonly output: string;
  readonly isPartial: boolean;
  readonly notes: readonly string[];
}

/** A share with Wilson's interval; undefined of nothing. */
export interface Share extends Interval {
  readonly value: number;
}

export function shareOf(successes: number, total: number): Share | undefined {
  if (total === 0) return undefined;
  return { value: successes / total, ...wilsonInterval(successes, total) };
}

/** What this report says, beside what all say. */
export interface PairedReport {
  readonly benchmark: Benchmark['name'];
  /** Of all files. */
  readonly stem: string;
  readonly title: string;
  /** Told before everything else. */
  readonly intro: string;
  readonly blocks: readonly Block[];
  /** Of the JSON file, after the settings. */
  readonly data: Readonly<Record<string, unknown>>;
  readonly csv: readonly [header: readonly string[], rows: readonly (readonly CsvCell[])[]];
  readonly models: BenchmarkSummary['models'];
  readonly main: TableBlock;
  /** Of the main table's columns, those that a screen has place for. */
  readonly shown: readonly string[];
}

/**
 * Writes .md, .html, .json, .csv and plots into a folder that exists.
 *
 * @throws TrainingError FACELLM_RUN_WRITE; MissingPackageError FACELLM_PACKAGE_MISSING
 */
export async function writePairedReport(
  { output, isPartial, notes, smallGroup, seed, charts }: PairedReportOptions,
  report: PairedReport,
): Promise<BenchmarkSummary> {
  const { benchmark, stem, title, intro, blocks, data, csv, models, main, shown } = report;
  const document: ReportDocument = {
    title,
    blocks: [
      { kind: 'paragraph', text: intro },
      ...(isPartial
        ? [{ kind: 'warning', text: 'Only a part of the data was used.' } as const]
        : []),
      ...(notes.length > 0 ? [{ kind: 'list', items: notes } as const] : []),
      ...blocks,
    ],
  };
  const format = `facellm-${stem}-1`;
  const json = roundedJson({
    format,
    isPartial,
    notes,
    confidence: CONFIDENCE,
    smallGroup,
    seed,
    ...data,
  });
  const files = await writeReport({ output, stem, document, json, csv: csvOf(...csv), charts });
  return { benchmark, isPartial, models, table: cellsOf(main, shown), files };
}

/** How far apart groups are; the cells before the gap are the caller's. */
export function gapTable(
  titles: readonly string[],
  rows: readonly (readonly [cells: readonly string[], gap: Gap])[],
  summary?: string,
): TableBlock {
  const columns = [...titles, 'largest gap', 'highest', 'lowest'].map((title) => ({
    title,
    isNumeric: title === 'largest gap',
  }));
  return {
    kind: 'table',
    columns,
    rows: rows.map(([cells, { gap, highest, lowest }]) => {
      // Without a difference no group is higher than another.
      const ends = gap === 0 ? ['–', '–'] : [highest, lowest];
      return { cells: [...cells, formatShare(gap), ...ends] };
    }),
    ...(summary !== undefined && { summary }),
  };
}

/** A chart with its place in the report. */
export interface GroupFigureOptions extends GroupsChartOptions {
  readonly name: string;
  readonly alt: string;
  readonly caption: string;
}

/** A plot of groups side by side; a single group is compared with nothing. */
export function groupFigure({ name, alt, caption, ...chart }: GroupFigureOptions): Block[] {
  if (new Set(chart.points.map(({ group }) => group)).size < 2) return [];
  const names = `${alt}, for ${chart.models.join(', ')}`;
  return [{ kind: 'figure', name, spec: groupsSpec(chart), alt: names, caption }];
}
