/** The verification report as a document. */
import {
  type Block,
  formatDifference,
  formatEstimate,
  formatPValue,
  formatShare,
  groupsSpec,
  type ReportDocument,
  rocSpec,
  scoresSpec,
  type TableColumn,
  type TableRow,
} from '../report/index.js';
import { COMMON_FMR, type PairAnalysis, type PairFigures, type PairScore } from './analysis.js';

export interface PairTextOptions extends PairAnalysis {
  readonly isPartial: boolean;
  readonly notes: readonly string[];
  readonly smallGroup: number;
  readonly confidence: number;
}

const RATE_COLUMNS: readonly TableColumn[] = [
  { title: 'EER', isNumeric: true },
  { title: 'TMR at FMR 10 %', isNumeric: true },
  { title: 'TMR at FMR 1 %', isNumeric: true },
  { title: 'TMR at FMR 0.1 %', isNumeric: true },
];

function rateCells({ equalErrorRate, operatingPoints }: PairFigures): string[] {
  const points = RATE_COLUMNS.slice(1).map((_, i) => {
    const point = operatingPoints[i];
    if (point === undefined) return formatShare(undefined);
    const { tmr, interval, isResolved } = point;
    return `${formatEstimate({ value: tmr, ...interval })}${isResolved ? '' : ' †'}`;
  });
  return [formatEstimate(equalErrorRate), ...points];
}

/** Figures over all pairs, a row for each model. */
export function headline(scores: readonly PairScore[]): Extract<Block, { kind: 'table' }> {
  const hasText = scores.some(({ textAccuracy }) => textAccuracy !== undefined);
  const numeric = (title: string): TableColumn => ({ title, isNumeric: true });
  return {
    kind: 'table',
    columns: [
      { title: 'model' },
      ...['same person', 'different people'].map(numeric),
      ...RATE_COLUMNS,
      ...['area under ROC', 'accuracy'].map(numeric),
      ...(hasText ? ['accuracy from text', 'unread'] : []).map(numeric),
      numeric('failed'),
    ],
    rows: scores.map(({ model, overall, accuracy, textAccuracy, unread, failed }) => ({
      cells: [
        ...[model, String(overall.genuine), String(overall.impostor)],
        ...rateCells(overall),
        ...[formatShare(overall.area), formatEstimate(accuracy)],
        ...(hasText ? [formatEstimate(textAccuracy), String(unread ?? 0)] : []),
        String(failed),
      ],
    })),
  };
}

function comparisonBlocks({ comparisons }: PairAnalysis): Block[] {
  if (comparisons.length === 0) return [];
  const titles = [
    'difference of accuracy',
    'right only in the first',
    'right only in the second',
    'p (McNemar)',
  ];
  return [
    { kind: 'heading', level: 3, text: 'Are the models different?' },
    {
      kind: 'table',
      columns: [
        { title: 'models' },
        ...titles.map((title) => ({ title, isNumeric: true })),
        { title: 'method' },
      ],
      rows: comparisons.map((one) => ({
        cells: [
          `${one.first} → ${one.second}`,
          formatDifference(one.difference),
          ...[one.onlyFirst, one.onlySecond].map(String),
          formatPValue(one.pValue),
          one.isExact ? 'exact binomial' : 'χ², continuity corrected',
        ],
      })),
    },
  ];
}

function plots(scores: readonly PairScore[]): Block[] {
  const models = scores.map(({ model }) => model).join(', ');
  const curves = scores.map(({ model, roc, overall }) => ({
    model,
    roc,
    operatingPoints: overall.operatingPoints.filter(({ isResolved }) => isResolved),
  }));
  return [
    {
      kind: 'figure',
      name: 'roc',
      spec: rocSpec(curves),
      alt: `ROC curves of ${models}: true match rate by false match rate`,
      caption:
        'Share of pairs of one person that match, by the share of pairs of two people that match. Points: false match rates of 10, 1 and 0.1 %, as far as there are enough pairs; dashed: guessing.',
    },
    {
      kind: 'figure',
      name: 'scores',
      spec: scoresSpec(scores.map(({ model, pairs }) => ({ model, pairs }))),
      alt: `Scores of pairs of one person and of two people, for ${models}`,
      caption:
        'How the probability of the answer "same person" is spread over both kinds of pairs.',
    },
  ];
}

function groupTable(by: string, scores: readonly PairScore[]): Block {
  const found = scores.map(({ groupings }) => groupings.find((one) => one.by === by)?.groups ?? []);
  const rows = (found[0] ?? []).flatMap((_, i) =>
    scores.flatMap(({ model }, k): TableRow[] => {
      const group = found[k]?.[i];
      if (group === undefined) return [];
      const { name, genuine, impostor, isSmall, common } = group;
      return [
        {
          cells: [
            ...[isSmall ? `${name} (small)` : name, model, String(genuine), String(impostor)],
            ...rateCells(group),
            ...[formatEstimate(common?.tmr), formatEstimate(common?.fmr)],
          ],
          isMuted: isSmall,
        },
      ];
    }),
  );
  const numeric = (title: string): TableColumn => ({ title, isNumeric: true });
  return {
    kind: 'table',
    columns: [
      ...[{ title: by }, { title: 'model' }, numeric('same person'), numeric('different people')],
      ...RATE_COLUMNS,
      ...['TMR at the common threshold', 'FMR at the common threshold'].map(numeric),
    ],
    rows,
  };
}

function gapTable(by: string, scores: readonly PairScore[]): Block[] {
  const titles = {
    equalErrorRate: 'EER',
    tmr: 'TMR at the common threshold',
    fmr: 'FMR at the common threshold',
  };
  const rows = scores.flatMap(({ model, groupings }) => {
    const gaps = groupings.find((one) => one.by === by)?.gaps ?? {};
    return (['equalErrorRate', 'tmr', 'fmr'] as const).flatMap((figure) => {
      const gap = gaps[figure];
      if (gap === undefined) return [];
      const ends = gap.gap === 0 ? ['–', '–'] : [gap.highest, gap.lowest];
      return [{ cells: [model, titles[figure], formatShare(gap.gap), ...ends] }];
    });
  });
  if (rows.length === 0) return [];
  return [
    {
      kind: 'table',
      columns: ['model', 'figure', 'largest gap', 'highest', 'lowest'].map((title) => ({
        title,
        isNumeric: title === 'largest gap',
      })),
      rows,
    },
  ];
}

function groupFigure(by: string, scores: readonly PairScore[]): Block[] {
  const points = scores.flatMap(({ model, groupings }) =>
    (groupings.find((one) => one.by === by)?.groups ?? []).flatMap((group) => {
      const { tmr } = group.common ?? {};
      if (tmr === undefined) return [];
      return [{ group: group.name, model, count: group.genuine, isSmall: group.isSmall, ...tmr }];
    }),
  );
  if (new Set(points.map(({ group }) => group)).size < 2) return [];
  const overall = scores.flatMap(({ model, overall: { operatingPoints } }) => {
    const point = operatingPoints.find(({ maxFmr }) => maxFmr === COMMON_FMR);
    return point === undefined ? [] : [{ model, value: point.tmr }];
  });
  const models = scores.map(({ model }) => model);
  return [
    {
      kind: 'figure',
      name: `tmr-by-${by.replaceAll(/[^\p{L}\p{N}-]+/gu, '-')}`,
      spec: groupsSpec({ points, models, title: 'true match rate', overall }),
      alt: `True match rate by ${by} at one threshold for all, for ${models.join(', ')}`,
      caption: `True match rate by ${by} at the threshold that gives a false match rate of ${COMMON_FMR * 100} % over all pairs, with Wilson intervals; dashed: all pairs. Pale and hollow: small groups.`,
    },
  ];
}

function groupBlocks(by: string, scores: readonly PairScore[]): Block[] {
  const others = scores[0]?.groupings.find((one) => one.by === by)?.others ?? 0;
  const blocks: Block[] = [{ kind: 'heading', level: 2, text: `By ${by}` }];
  if (others > 0) {
    const text = `Not in this table: ${others} pair(s) whose two pictures differ in ${by} or whose ${by} is not known.`;
    blocks.push({ kind: 'paragraph', text });
  }
  return [...blocks, ...gapTable(by, scores), ...groupFigure(by, scores), groupTable(by, scores)];
}

export function pairsDocument(options: PairTextOptions): ReportDocument {
  const { scores, isPartial, notes, smallGroup, confidence } = options;
  const models = scores.map(({ model }) => model).join(', ');
  const blocks: Block[] = [
    {
      kind: 'paragraph',
      text: `Are two pictures of the same person? Scores of ${models} are the probability of the answer that says so. EER: the error rate at which as many pairs of two people match as pairs of one do not. TMR at FMR x: share of pairs of one person that match where at most x of pairs of two do. In brackets ${confidence * 100} % intervals: Wilson's for rates, bootstrap for the EER. Groups with fewer than ${smallGroup} pairs of either kind are small and decide no gap.`,
    },
  ];
  if (isPartial) blocks.push({ kind: 'warning', text: 'Only a part of the data was used.' });
  if (notes.length > 0) blocks.push({ kind: 'list', items: notes });
  blocks.push(headline(scores));
  const isUnresolved = scores.some(({ overall, groupings }) =>
    [overall, ...groupings.flatMap(({ groups }) => groups)].some(({ operatingPoints }) =>
      operatingPoints.some(({ isResolved }) => !isResolved),
    ),
  );
  if (isUnresolved) {
    const text =
      '† Too few pairs of two people for this false match rate: no false match at all was allowed.';
    blocks.push({ kind: 'paragraph', text });
  }
  blocks.push({
    kind: 'paragraph',
    text: 'A language model is no face recognition system. Do not use it to identify or admit people; see docs/fairness.md.',
  });
  blocks.push(...comparisonBlocks(options), ...plots(scores));
  const names = new Set(scores.flatMap(({ groupings }) => groupings.map(({ by }) => by)));
  for (const by of names) blocks.push(...groupBlocks(by, scores));
  return { title: 'Pair verification', blocks };
}
