/** The verification report's files and its headline figures. */
import { CONFIDENCE } from '../metrics/wilson.js';
import { type PairedReportOptions, type Share, writePairedReport } from '../paired/report.js';
import type { CsvCell } from '../report/csv.js';
import { rounded } from '../report/numbers.js';
import type { BenchmarkSummary } from '../types.js';
import { analysePairs, type PairFigures, type PairScore } from './analysis.js';
import { headline, pairsBlocks } from './report-text.js';

/** Of the main table, those that a screen has place for. */
const TABLE_COLUMNS = [
  ...['model', 'same person', 'different people', 'EER', 'TMR at FMR 1 %', 'accuracy'],
  ...['accuracy from text', 'unread', 'failed'],
];

const CSV_HEADER = [
  ...['model', 'grouping', 'group', 'genuine', 'impostor', 'is_small'],
  ...['figure', 'value', 'low', 'high', 'threshold'],
];

/** A figure with its interval, and its threshold where it has one. */
type NamedShare = readonly [name: string, share: Share, threshold?: number];

/** Those that exist. */
function known(shares: Readonly<Record<string, Share | undefined>>): NamedShare[] {
  return Object.entries(shares).flatMap(([name, share]) => (share ? [[name, share] as const] : []));
}

/** `tmr.at.fmr.0.01` and the like. */
function namedRates({ equalErrorRate, operatingPoints }: PairFigures): NamedShare[] {
  const points = operatingPoints.map(
    ({ maxFmr, tmr, interval, threshold }) =>
      [`tmr.at.fmr.${maxFmr}`, { value: tmr, ...interval }, threshold] as const,
  );
  return [...known({ eer: equalErrorRate }), ...points];
}

function csvRows(scores: readonly PairScore[]): CsvCell[][] {
  // Where no pair may match there is no threshold to write.
  const rows = (place: readonly CsvCell[], shares: readonly NamedShare[]): CsvCell[][] =>
    shares.map(([name, { value, low, high }, threshold]) => [
      ...place,
      name,
      ...[value, low, high, threshold].map(rounded),
    ]);
  return scores.flatMap(({ model, overall, accuracy, textAccuracy, groupings }) => [
    ...rows(
      [model, '', '', overall.genuine, overall.impostor, false],
      [
        ...namedRates(overall),
        ...known({ 'accuracy.probability': accuracy, 'accuracy.text': textAccuracy }),
      ],
    ),
    ...groupings.flatMap(({ by, groups }) =>
      groups.flatMap((group) => {
        const { name, genuine, impostor, isSmall, common } = group;
        const shared = {
          'tmr.at.common.threshold': common?.tmr,
          'fmr.at.common.threshold': common?.fmr,
        };
        return rows(
          [model, by, name, genuine, impostor, isSmall],
          [...namedRates(group), ...known(shared)],
        );
      }),
    ),
  ]);
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
 * @throws TrainingError FACELLM_RUN_WRITE
 */
export async function writePairsReport(options: PairedReportOptions): Promise<BenchmarkSummary> {
  const analysis = analysePairs(options);
  const { scores, comparisons } = analysis;
  const names = scores.map(({ model }) => model).join(', ');
  return writePairedReport(options, {
    benchmark: 'pairs',
    stem: 'pairs',
    title: 'Pair verification',
    intro: `Are two pictures of the same person? Scores of ${names} are the probability of the answer that says so. EER: the error rate at which as many pairs of two people match as pairs of one do not. TMR at FMR x: share of pairs of one person that match where at most x of pairs of two do. In brackets ${CONFIDENCE * 100} % intervals: Wilson's for rates, bootstrap for the EER. Groups with fewer than ${options.smallGroup} pairs of either kind are small and decide no gap.`,
    blocks: pairsBlocks(analysis),
    data: {
      models: scores.map((score) => ({ ...score, roc: undefined, pairs: undefined })),
      comparisons,
    },
    csv: [CSV_HEADER, csvRows(scores)],
    models: scores.map((score) => ({ name: score.model, figures: headlineFigures(score) })),
    main: headline(scores),
    shown: TABLE_COLUMNS,
  });
}
