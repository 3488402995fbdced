/** The fairness report's files and its headline figures. */
import {
  cellsOf,
  type CsvCell,
  csvOf,
  rounded,
  roundedJson,
  writeReport,
} from '../report/index.js';
import type { BenchmarkSummary, ReportOptions } from '../types.js';
import {
  analyseAttributes,
  type AnalysisOptions,
  type AttributeAnalysis,
  type Score,
} from './analysis.js';
import { FIGURE_NAMES, FIGURE_TITLES, type Figures } from './figures.js';
import { fairnessDocument, headline } from './report-text.js';

export interface FairnessReportOptions extends AnalysisOptions, ReportOptions {
  /** An existing folder. */
  readonly output: string;
  readonly isPartial: boolean;
  readonly notes: readonly string[];
}

const FORMAT = 'facellm-fairness-1';

/** Of the main table, those that a screen has place for. */
const TABLE_COLUMNS = [
  ...['attribute', 'read from', 'model', 'n'],
  ...[FIGURE_TITLES.accuracy, FIGURE_TITLES.balancedAccuracy, 'unread'],
];

const CSV_HEADER = [
  ...['attribute', 'reading', 'model', 'grouping', 'group', 'count', 'is_small', 'unread'],
  ...['figure', 'value', 'low', 'high'],
];

function figureRows(place: readonly CsvCell[], isSmall: boolean, figures: Figures): CsvCell[][] {
  const number = (value: number | undefined): CsvCell =>
    value === undefined ? undefined : rounded(value);
  return FIGURE_NAMES.flatMap((name) => {
    const estimate = figures[name];
    if (estimate === undefined) return [];
    const { value, low, high } = estimate;
    return [
      [...place, figures.count, isSmall, figures.unread, name, ...[value, low, high].map(number)],
    ];
  });
}

/** One row a figure: overall ones without a group, then each grouping's. */
function csvRows(attributes: readonly AttributeAnalysis[]): CsvCell[][] {
  return attributes.flatMap(({ name, scores }) =>
    scores.flatMap(({ reading, model, overall, groupings }) => [
      ...figureRows([name, reading, model, '', ''], false, overall),
      ...groupings.flatMap(({ by, groups }) =>
        groups.flatMap((group) =>
          figureRows(
            [name, reading, model, by.join(' x '), group.name],
            group.isSmall,
            group.figures,
          ),
        ),
      ),
    ]),
  );
}

/** `gender.accuracy.probability`, `gender.unread.text`, `gender.accuracyGap.race.probability`. */
function headlineFigures(name: string, { reading, overall, groupings }: Score): [string, number][] {
  return [
    ...FIGURE_NAMES.flatMap((figure): [string, number][] => {
      const value = overall[figure]?.value;
      return value === undefined ? [] : [[`${name}.${figure}.${reading}`, value]];
    }),
    [`${name}.unread.${reading}`, overall.unread],
    ...groupings.flatMap(({ by, gaps }): [string, number][] =>
      gaps.accuracy === undefined
        ? []
        : [[`${name}.accuracyGap.${by.join('-')}.${reading}`, gaps.accuracy.gap]],
    ),
  ];
}

/**
 * Writes fairness.md, .html, .json, .csv and plots into a folder that exists.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT if a run does not answer the items
 * @throws TrainingError FACELLM_RUN_WRITE
 */
export async function writeFairnessReport(
  options: FairnessReportOptions,
): Promise<BenchmarkSummary> {
  const { output, runs, isPartial, notes, smallGroup, confidence, seed, charts } = options;
  const attributes = analyseAttributes(options);
  const models = runs.map(({ name }) => name);
  const document = fairnessDocument({
    attributes,
    models,
    isPartial,
    notes,
    smallGroup,
    confidence,
  });
  const json = roundedJson({
    format: FORMAT,
    isPartial,
    notes,
    confidence,
    smallGroup,
    seed,
    models,
    attributes,
  });
  const csv = csvOf(CSV_HEADER, csvRows(attributes));
  const files = await writeReport({ output, stem: 'fairness', document, json, csv, charts });
  return {
    benchmark: 'attributes',
    isPartial,
    models: models.map((model) => ({
      name: model,
      figures: Object.fromEntries(
        attributes.flatMap(({ name, scores }) =>
          scores
            .filter((score) => score.model === model)
            .flatMap((score) => headlineFigures(name, score)),
        ),
      ),
    })),
    table: cellsOf(headline(attributes), TABLE_COLUMNS),
    files,
  };
}
