/** The fairness report's files and its headline figures. */
import { CONFIDENCE } from '../metrics/wilson.js';
import { type PairedReportOptions, writePairedReport } from '../paired/report.js';
import type { CsvCell } from '../report/csv.js';
import { rounded } from '../report/numbers.js';
import type { BenchmarkSummary } from '../types.js';
import {
  analyseAttributes,
  type AnalysisOptions,
  type AttributeAnalysis,
  type Score,
} from './analysis.js';
import { FIGURE_NAMES, FIGURE_TITLES, type Figures } from './figures.js';
import { fairnessBlocks, headline } from './report-text.js';

export interface FairnessReportOptions extends PairedReportOptions, AnalysisOptions {}

/** Of the main table, those that a screen has place for. */
const TABLE_COLUMNS = [
  ...['attribute', 'read from', 'model', 'n'],
  ...[FIGURE_TITLES.accuracy, FIGURE_TITLES.balancedAccuracy, 'unread'],
];

/** With them, where there are some. */
const CALIBRATED_COLUMNS = [FIGURE_TITLES.ece, FIGURE_TITLES.calibratedEce];

const CSV_HEADER = [
  ...['attribute', 'reading', 'model', 'grouping', 'group', 'count', 'is_small', 'unread'],
  ...['figure', 'value', 'low', 'high'],
];

function figureRows(place: readonly CsvCell[], isSmall: boolean, figures: Figures): CsvCell[][] {
  return FIGURE_NAMES.flatMap((name) => {
    const estimate = figures[name];
    if (estimate === undefined) return [];
    const { value, low, high } = estimate;
    return [
      [...place, figures.count, isSmall, figures.unread, name, ...[value, low, high].map(rounded)],
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
 * @throws TrainingError FACELLM_RUN_WRITE
 */
export async function writeFairnessReport(
  options: FairnessReportOptions,
): Promise<BenchmarkSummary> {
  const { runs, smallGroup, calibrations = [] } = options;
  const hasCalibrations = calibrations.length > 0;
  const attributes = analyseAttributes(options);
  const models = runs.map(({ name }) => name);
  return writePairedReport(options, {
    benchmark: 'attributes',
    stem: 'fairness',
    title: 'Fairness report',
    intro: `Answers of ${models.join(', ')} held against the labels of the pictures. In brackets ${CONFIDENCE * 100} % intervals: Wilson's for accuracy and within one bin, bootstrap for balanced accuracy and macro-F1. Groups of fewer than ${smallGroup} pictures are marked as small and decide no gap.`,
    blocks: fairnessBlocks(attributes, smallGroup, calibrations),
    data: { models, ...(hasCalibrations && { calibrations }), attributes },
    csv: [CSV_HEADER, csvRows(attributes)],
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
    main: headline(attributes),
    shown: hasCalibrations ? [...TABLE_COLUMNS, ...CALIBRATED_COLUMNS] : TABLE_COLUMNS,
  });
}
