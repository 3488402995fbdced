/** The verification report as a document. */
import { comparisonTable } from '../paired/comparison.js';
import { groupingBy, groupingTitles, groupRows } from '../paired/groups.js';
import { gapTable, groupFigure } from '../paired/report.js';
import { rocSpec } from '../report/charts/roc.js';
import { scoresSpecs } from '../report/charts/scores.js';
import { type Block, numeric, type TableBlock } from '../report/document.js';
import { formatEstimate, formatShare } from '../report/numbers.js';
import { panelFigures } from '../report/panels.js';
import { COMMON_FMR, type PairAnalysis, type PairFigures, type PairScore } from './analysis.js';

const RATE_COLUMNS = numeric('EER', ...['TMR at FMR 10 %', 'TMR at FMR 1 %', 'TMR at FMR 0.1 %']);

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
export function headline(scores: readonly PairScore[]): TableBlock {
  const hasText = scores.some(({ textAccuracy }) => textAccuracy !== undefined);
  return {
    kind: 'table',
    columns: [
      { title: 'model' },
      ...numeric('same person', 'different people'),
      ...RATE_COLUMNS,
      ...numeric('area under ROC', 'accuracy'),
      ...numeric(...(hasText ? ['accuracy from text', 'unread'] : []), 'failed'),
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
  const heading = { kind: 'heading', level: 3, text: 'Are the models different?' } as const;
  return [heading, comparisonTable(comparisons)];
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
    ...panelFigures({
      name: 'scores',
      models: scores.map(({ model }) => model),
      specs: scoresSpecs(scores.map(({ model, pairs }) => ({ model, pairs }))),
      alt: 'Scores of pairs of one person and of two people',
      caption:
        'How the probability of the answer "same person" is spread over both kinds of pairs.',
    }),
  ];
}

function groupTable(by: string, scores: readonly PairScore[]): Block {
  const rows = groupRows(scores, by, (group, { model }) => {
    const { name, genuine, impostor, isSmall, common } = group;
    return [
      ...[isSmall ? `${name} (small)` : name, model, String(genuine), String(impostor)],
      ...rateCells(group),
      ...[formatEstimate(common?.tmr), formatEstimate(common?.fmr)],
    ];
  });
  return {
    kind: 'table',
    columns: [
      ...[{ title: by }, { title: 'model' }, ...numeric('same person', 'different people')],
      ...RATE_COLUMNS,
      ...numeric('TMR at the common threshold', 'FMR at the common threshold'),
    ],
    rows,
  };
}

const GAP_TITLES = {
  equalErrorRate: 'EER',
  tmr: 'TMR at the common threshold',
  fmr: 'FMR at the common threshold',
};

function gapTables(by: string, scores: readonly PairScore[]): Block[] {
  const rows = scores.flatMap((score) => {
    const gaps = groupingBy(score, by)?.gaps ?? {};
    return (['equalErrorRate', 'tmr', 'fmr'] as const).flatMap((figure) => {
      const gap = gaps[figure];
      return gap === undefined ? [] : [[[score.model, GAP_TITLES[figure]], gap] as const];
    });
  });
  return rows.length === 0 ? [] : [gapTable(['model', 'figure'], rows)];
}

function matchFigure(by: string, scores: readonly PairScore[]): Block[] {
  const points = scores.flatMap((score) =>
    (groupingBy(score, by)?.groups ?? []).flatMap(({ name, genuine, isSmall, common }) => {
      const { tmr } = common ?? {};
      return tmr ? [{ group: name, model: score.model, count: genuine, isSmall, ...tmr }] : [];
    }),
  );
  const overall = scores.flatMap(({ model, overall: { operatingPoints } }) => {
    const point = operatingPoints.find(({ maxFmr }) => maxFmr === COMMON_FMR);
    return point === undefined ? [] : [{ model, value: point.tmr }];
  });
  const models = scores.map(({ model }) => model);
  return groupFigure({
    ...{ points, models, overall, title: 'true match rate' },
    name: `tmr-by-${by.replaceAll(/[^\p{L}\p{N}-]+/gu, '-')}`,
    alt: `True match rate by ${by} at one threshold for all`,
    caption: `True match rate by ${by} at the threshold that gives a false match rate of ${COMMON_FMR * 100} % over all pairs, with Wilson intervals; dashed: all pairs. Pale and hollow: small groups.`,
  });
}

function groupBlocks(by: string, scores: readonly PairScore[]): Block[] {
  const others = groupingBy(scores[0], by)?.others ?? 0;
  const blocks: Block[] = [{ kind: 'heading', level: 2, text: `By ${by}` }];
  if (others > 0) {
    const text = `Not in this table: ${others} pair(s) whose two pictures differ in ${by} or whose ${by} is not known.`;
    blocks.push({ kind: 'paragraph', text });
  }
  return [...blocks, ...gapTables(by, scores), ...matchFigure(by, scores), groupTable(by, scores)];
}

export function pairsBlocks(analysis: PairAnalysis): Block[] {
  const { scores } = analysis;
  const isUnresolved = scores.some(({ overall, groupings }) =>
    [overall, ...groupings.flatMap(({ groups }) => groups)].some(({ operatingPoints }) =>
      operatingPoints.some(({ isResolved }) => !isResolved),
    ),
  );
  const texts = [
    ...(isUnresolved
      ? [
          '† Too few pairs of two people for this false match rate: no false match at all was allowed.',
        ]
      : []),
    'A language model is no face recognition system. Do not use it to identify or admit people; see docs/fairness.md.',
  ];
  return [
    headline(scores),
    ...texts.map((text) => ({ kind: 'paragraph', text }) as const),
    ...comparisonBlocks(analysis),
    ...plots(scores),
    ...groupingTitles(scores).flatMap((by) => groupBlocks(by, scores)),
  ];
}
