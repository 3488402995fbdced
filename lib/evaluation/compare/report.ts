/** The comparison's files: what is lost, beside what a rounding costs, over all questions and group by group. */
import { CONFIDENCE, type Interval } from '../metrics/wilson.js';
import { comparisonTable } from '../paired/comparison.js';
import { groupFigure } from '../paired/report.js';
import { type CsvCell, csvOf } from '../report/csv.js';
import { type Block, cellsOf, numeric, type TableBlock } from '../report/document.js';
import {
  formatDifference,
  formatEstimate,
  formatShare,
  rounded,
  roundedJson,
} from '../report/numbers.js';
import { writeReport } from '../report/write.js';
import type { Benchmark, BenchmarkSummary } from '../types.js';
import type { ComparisonFigures, ModelComparison } from './analysis.js';

export interface ComparisonReport {
  /** An existing folder. */
  readonly output: string;
  readonly benchmark: Benchmark;
  /** The model's first. */
  readonly comparisons: readonly ModelComparison[];
  readonly worst: readonly { readonly id: string; readonly kl: number; readonly shift: number }[];
  /** What each model is, a line each. */
  readonly forms: readonly string[];
  readonly notes: readonly string[];
  readonly seed: number;
  readonly smallGroup: number;
  readonly charts: boolean | undefined;
}

/** Three digits, whatever the size: divergences span six orders of magnitude. */
const small = (value: number): string =>
  value === 0 ? '0' : value < 1e-3 ? value.toExponential(2) : value.toPrecision(3);
const between = (interval: Interval | undefined): string =>
  interval === undefined ? '' : ` (${small(interval.low)}–${small(interval.high)})`;

type Row = readonly [title: string, cell: (figures: ComparisonFigures) => string];

const ROWS: readonly Row[] = [
  ['questions', ({ count }) => String(count)],
  ['tokens of the reference', ({ tokens }) => String(tokens)],
  ['KL a token, mean (nats)', ({ kl }) => `${small(kl.mean)}${between(kl.interval)}`],
  ['KL, median', ({ kl }) => small(kl.median)],
  ['KL, 99th percentile', ({ kl }) => small(kl.p99)],
  ['KL, worst', ({ kl }) => small(kl.worst.value)],
  ['same most probable token', ({ agreement }) => formatEstimate(agreement)],
  ['perplexity, times the reference', ({ perplexityRatio }) => perplexityRatio.toFixed(4)],
  ['same greedy answer', ({ sameAnswers }) => formatEstimate(sameAnswers)],
  ['tokens before answers part, median', ({ medianShared }) => String(medianShared ?? '–')],
  ['|Δp| of choices, mean', ({ shift }) => small(shift.mean)],
  ['|Δp|, 95th percentile', ({ shift }) => small(shift.p95)],
  ['|Δp|, largest', ({ shift }) => small(shift.max)],
  ['decisions flipped', ({ flips }) => formatEstimate(flips)],
  [
    'accuracy, reference → model',
    ({ accuracy }) => `${formatShare(accuracy.reference)} → ${formatShare(accuracy.model)}`,
  ],
  [
    'change of accuracy',
    ({ accuracy, accuracyChange }) =>
      `${formatDifference(accuracy.model - accuracy.reference)}${
        accuracyChange === undefined
          ? ''
          : ` (${formatDifference(accuracyChange.low)} to ${formatDifference(accuracyChange.high)})`
      }`,
  ],
  [
    'ECE, reference → model',
    ({ ece }) => `${formatShare(ece.reference)} → ${formatShare(ece.model)}`,
  ],
];

function mainTable(comparisons: readonly ModelComparison[]): TableBlock {
  return {
    kind: 'table',
    columns: [{ title: 'beside the reference' }, ...numeric(...comparisons.map((one) => one.name))],
    rows: ROWS.map(([title, cell]) => ({
      cells: [title, ...comparisons.map(({ overall }) => cell(overall))],
    })),
  };
}

const GROUP_COLUMNS = [
  ...['n', 'KL mean', 'same token', '|Δp| mean', '|Δp| largest', 'flipped'],
  ...['accuracy', 'ECE'],
];

function groupBlocks(by: string, comparisons: readonly ModelComparison[]): Block[] {
  const groups = comparisons.map((one) => one.groups.filter((group) => group.by === by));
  const rows = (groups[0] ?? []).flatMap(({ group: name }) =>
    groups.flatMap((all, i) => {
      const one = all.find(({ group }) => group === name);
      if (one === undefined) return [];
      const { count, kl, agreement, shift, flips, accuracy, ece } = one.figures;
      const cells = [
        ...[name, comparisons[i]?.name ?? '', String(count), small(kl.mean)],
        ...[formatShare(agreement.value), small(shift.mean), small(shift.max)],
        formatEstimate(flips),
        ...[accuracy, ece].map(
          (pair) => `${formatShare(pair.reference)} → ${formatShare(pair.model)}`,
        ),
      ];
      return [{ cells, isMuted: one.isSmall }];
    }),
  );
  const points = groups.flatMap((all, i) =>
    all.map(({ group, isSmall, figures: { count, flips } }) => ({
      ...{ group, isSmall, count, ...flips },
      model: comparisons[i]?.name ?? '',
    })),
  );
  return [
    { kind: 'heading', level: 2, text: `By ${by}` },
    {
      kind: 'table',
      columns: [{ title: by }, { title: 'model' }, ...numeric(...GROUP_COLUMNS)],
      rows,
    },
    ...groupFigure({
      name: `flips-by-${by.replaceAll(/[^A-Za-z0-9]+/g, '-')}`,
      alt: `Share of decisions flipped by ${by}`,
      caption: `Share of questions whose most probable choice is not the reference's, by ${by}, with ${CONFIDENCE * 100} % intervals.`,
      points,
      models: comparisons.map(({ name }) => name),
      title: 'decisions flipped',
      overall: comparisons.map(({ name, overall }) => ({
        model: name,
        value: overall.flips.value,
      })),
    }),
  ];
}

/** `kl.mean`, `flips.low`: every number of the figures, by its path. */
function flatten(figures: object, path: string = ''): [name: string, value: number][] {
  return Object.entries(figures).flatMap(([key, value]: [string, unknown]) => {
    const name = path === '' ? key : `${path}.${key}`;
    if (typeof value === 'number') return [[name, value] as [string, number]];
    return typeof value === 'object' && value !== null ? flatten(value, name) : [];
  });
}

function csvRows({ name, overall, groups }: ModelComparison): CsvCell[][] {
  const rows = (by: string, group: string, isSmall: boolean, figures: ComparisonFigures) =>
    flatten(figures).map(([figure, value]) => [name, by, group, isSmall, figure, rounded(value)]);
  return [
    ...rows('', '', false, overall),
    ...groups.flatMap((one) => rows(one.by, one.group, one.isSmall, one.figures)),
  ];
}

/**
 * Writes the report in all forms, with its data and plots, into a folder that exists.
 *
 * @throws TrainingError FACELLM_RUN_WRITE; MissingPackageError FACELLM_PACKAGE_MISSING
 */
export async function writeComparisonReport(report: ComparisonReport): Promise<BenchmarkSummary> {
  const { output, benchmark, comparisons, worst, forms, notes, seed, smallGroup, charts } = report;
  const main = mainTable(comparisons);
  const tests = comparisons.flatMap(({ test }) => test ?? []);
  const columns = [...new Set(comparisons.flatMap(({ groups }) => groups.map(({ by }) => by)))];
  const intro = `What a model loses beside its reference on the same questions. KL(reference || model) over the whole vocabulary at each token of the reference's own greedy answers; choices by their probabilities; greedy answers of both beside each other. The yardstick is the reference itself in its other dtype: what rounding to bf16 costs, and what no form of weights should be asked to undercut. In brackets ${CONFIDENCE * 100} % intervals: Wilson's for shares, else by drawing questions again. Groups of fewer than ${smallGroup} questions are pale. What is lost holds for this model and pictures like these.`;
  const document = {
    title: 'Comparison report',
    blocks: [
      { kind: 'paragraph', text: intro },
      ...(benchmark.isPartial
        ? [{ kind: 'warning', text: 'Only a part of the data was used.' } as const]
        : []),
      { kind: 'list', items: [...forms, ...notes] },
      main,
      ...(tests.length === 0 ? [] : [comparisonTable(tests)]),
      ...columns.flatMap((by) => groupBlocks(by, comparisons)),
      { kind: 'heading', level: 2, text: 'Questions furthest from the reference' },
      {
        kind: 'table',
        columns: [{ title: 'question' }, ...numeric('KL a token', '|Δp|')],
        rows: worst.map(({ id, kl, shift }) => ({ cells: [id, small(kl), small(shift)] })),
      },
    ] satisfies readonly Block[],
  };
  const { isPartial } = benchmark;
  const json = roundedJson({
    ...{ format: 'facellm-comparison-1', benchmark: benchmark.name, isPartial, notes, forms },
    ...{ confidence: CONFIDENCE, smallGroup, seed, comparisons, worst },
  });
  const csv = csvOf(
    ['model', 'grouping', 'group', 'is_small', 'figure', 'value'],
    comparisons.flatMap(csvRows),
  );
  const files = await writeReport({ output, stem: 'comparison', document, json, csv, charts });
  const models = comparisons.map(({ name, overall }) => ({
    name,
    figures: Object.fromEntries(flatten(overall)),
  }));
  return { benchmark: 'comparison', isPartial, models, table: cellsOf(main), files };
}
