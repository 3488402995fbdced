/** The verification report's files and its headline figures. */
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
  analysePairs,
  type GroupPairFigures,
  type PairAnalysisOptions,
  type PairFigures,
  type PairScore,
  type Rate,
} from './analysis.js';
import { headline, pairsDocument } from './report-text.js';

export interface PairsReportOptions extends PairAnalysisOptions, ReportOptions {
  /** An existing folder. */
  readonly output: string;
  readonly isPartial: boolean;
  readonly notes: readonly string[];
}

const FORMAT = 'facellm-pairs-1';

/** Of the main table, those that a screen has place for. */
const TABLE_COLUMNS = [
  ...['model', 'same person', 'different people', 'EER', 'TMR at FMR 1 %', 'accuracy'],
  ...['accuracy from text', 'unread', 'failed'],
];

const CSV_HEADER = [
  ...['model', 'grouping', 'group', 'genuine', 'impostor', 'is_small'],
  ...['figure', 'value', 'low', 'high', 'threshold'],
];

/** `tmr.at.fmr.0.01` and the like, with thresholds where there are some. */
function namedRates(
  figures: PairFigures,
): [name: string, rate: Rate, threshold: number | undefined][] {
  const { equalErrorRate, operatingPoints } = figures;
  return [
    ...(equalErrorRate === undefined
      ? []
      : [['eer', equalErrorRate, undefined] as [string, Rate, undefined]]),
    ...operatingPoints.map(({ maxFmr, tmr, interval, threshold }): [string, Rate, number] => [
      `tmr.at.fmr.${maxFmr}`,
      { value: tmr, ...interval },
      threshold,
    ]),
  ];
}

function commonRates({ common }: GroupPairFigures): [string, Rate, undefined][] {
  return (['tmr', 'fmr'] as const).flatMap((name): [string, Rate, undefined][] => {
    const value = common?.[name];
    return value === undefined ? [] : [[`${name}.at.common.threshold`, value, undefined]];
  });
}

function csvRows(scores: readonly PairScore[]): CsvCell[][] {
  const row = (
    place: readonly CsvCell[],
    [name, { value, low, high }, threshold]: [string, Rate, number | undefined],
  ): CsvCell[] => {
    // Where no pair may match there is no threshold to write.
    const limit =
      threshold !== undefined && Number.isFinite(threshold) ? rounded(threshold) : undefined;
    return [...place, name, ...[value, low, high].map(rounded), limit];
  };
  return scores.flatMap(({ model, overall, accuracy, textAccuracy, groupings }) => {
    const place = [model, '', '', overall.genuine, overall.impostor, false];
    const accuracies = [
      { name: 'accuracy.probability', rate: accuracy },
      { name: 'accuracy.text', rate: textAccuracy },
    ].flatMap(({ name, rate }): [string, Rate, undefined][] =>
      rate === undefined ? [] : [[name, rate, undefined]],
    );
    return [
      ...[...namedRates(overall), ...accuracies].map((one) => row(place, one)),
      ...groupings.flatMap(({ by, groups }) =>
        groups.flatMap((group) => {
          const { name, genuine, impostor, isSmall } = group;
          const rates = [...namedRates(group), ...commonRates(group)];
          return rates.map((one) => row([model, by, name, genuine, impostor, isSmall], one));
        }),
      ),
    ];
  });
}

function headlineFigures({
  overall,
  accuracy,
  textAccuracy,
  unread,
  failed,
  groupings,
}: PairScore): Record<string, number> {
  return {
    ...Object.fromEntries(namedRates(overall).map(([name, { value }]) => [name, value])),
    ...(overall.area !== undefined && { area: overall.area }),
    ...(accuracy !== undefined && { 'accuracy.probability': accuracy.value }),
    ...(textAccuracy !== undefined && { 'accuracy.text': textAccuracy.value }),
    ...(unread !== undefined && { 'unread.text': unread }),
    failed,
    ...Object.fromEntries(
      groupings.flatMap(({ by, gaps: { equalErrorRate: gap } }) =>
        gap === undefined ? [] : [[`eerGap.${by}`, gap.gap]],
      ),
    ),
  };
}

/**
 * Writes pairs.md, .html, .json, .csv and plots into a folder that exists.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT if a run does not answer the items
 * @throws TrainingError FACELLM_RUN_WRITE
 */
export async function writePairsReport(options: PairsReportOptions): Promise<BenchmarkSummary> {
  const { output, isPartial, notes, smallGroup, confidence, seed, charts } = options;
  const { scores, comparisons } = analysePairs(options);
  const document = pairsDocument({
    scores,
    comparisons,
    isPartial,
    notes,
    smallGroup,
    confidence,
  });
  const models = scores.map((score) => ({ ...score, roc: undefined, pairs: undefined }));
  const json = roundedJson({
    format: FORMAT,
    isPartial,
    notes,
    confidence,
    smallGroup,
    seed,
    models,
    comparisons,
  });
  const csv = csvOf(CSV_HEADER, csvRows(scores));
  const files = await writeReport({ output, stem: 'pairs', document, json, csv, charts });
  return {
    benchmark: 'pairs',
    isPartial,
    models: scores.map((score) => ({ name: score.model, figures: headlineFigures(score) })),
    table: cellsOf(headline(scores), TABLE_COLUMNS),
    files,
  };
}
