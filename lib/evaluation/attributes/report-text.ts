/** The fairness report as a document: tables and plots of an analysis, with the words that readers need. */
import {
  type Block,
  confusionSpec,
  formatDifference,
  formatEstimate,
  formatPValue,
  formatShare,
  groupsSpec,
  reliabilitySpec,
  renderSvg,
  type ReportDocument,
  type TableColumn,
  type TableRow,
} from '../report/index.js';
import type { AttributeAnalysis, Comparison, Reading, Score } from './analysis.js';
import { FIGURE_NAMES, FIGURE_TITLES, type FigureName, type Figures } from './figures.js';
import type { Grouping } from './groupings.js';

export interface FairnessTextOptions {
  readonly attributes: readonly AttributeAnalysis[];
  readonly models: readonly string[];
  readonly isPartial: boolean;
  readonly notes: readonly string[];
  readonly smallGroup: number;
  readonly confidence: number;
}

/** More would be a plot that nobody reads; the table has them all. */
const MAX_GROUPS_DRAWN = 40;
/** Longer tables are folded away in HTML. */
const MAX_ROWS_OPEN = 30;

const READING_TITLES: Readonly<Record<Reading, string>> = {
  probability: 'choice probabilities',
  text: 'generated text',
};

function figuresIn({ isOrdinal, scores }: AttributeAnalysis): FigureName[] {
  const hasProbabilities = scores.some(({ reading }) => reading === 'probability');
  return FIGURE_NAMES.filter(
    (name) => (name !== 'withinOneBin' || isOrdinal) && (name !== 'ece' || hasProbabilities),
  );
}

function figureColumns(names: readonly FigureName[]): TableColumn[] {
  return names.map((name) => ({ title: FIGURE_TITLES[name], isNumeric: true }));
}

function figureCells(names: readonly FigureName[], figures: Figures): string[] {
  return names.map((name) => formatEstimate(figures[name]));
}

function headline(attributes: readonly AttributeAnalysis[]): Block {
  const names = FIGURE_NAMES.filter((name) =>
    attributes.some((attribute) => figuresIn(attribute).includes(name)),
  );
  return {
    kind: 'table',
    columns: [
      { title: 'attribute' },
      { title: 'read from' },
      { title: 'model' },
      { title: 'n', isNumeric: true },
      ...figureColumns(names),
      { title: 'unread', isNumeric: true },
    ],
    rows: attributes.flatMap(({ name, scores }) =>
      scores.map(({ reading, model, overall }) => ({
        cells: [
          ...[name, READING_TITLES[reading], model, String(overall.count)],
          ...figureCells(names, overall),
          String(overall.unread),
        ],
      })),
    ),
  };
}

function comparisonTable(comparisons: readonly Comparison[]): Block {
  return {
    kind: 'table',
    columns: [
      { title: 'read from' },
      { title: 'models' },
      { title: 'difference of accuracy', isNumeric: true },
      { title: 'right only in the first', isNumeric: true },
      { title: 'right only in the second', isNumeric: true },
      { title: 'p (McNemar)', isNumeric: true },
      { title: 'method' },
    ],
    rows: comparisons.map((one) => ({
      cells: [
        READING_TITLES[one.reading],
        `${one.first} → ${one.second}`,
        formatDifference(one.difference),
        ...[one.onlyFirst, one.onlySecond].map(String),
        formatPValue(one.pValue),
        one.isExact ? 'exact binomial' : 'χ², continuity corrected',
      ],
    })),
  };
}

function scoresOf({ scores }: AttributeAnalysis, reading: Reading): readonly Score[] {
  return scores.filter((score) => score.reading === reading);
}

async function reliabilityFigure(attribute: AttributeAnalysis): Promise<Block[]> {
  const panels = scoresOf(attribute, 'probability').flatMap(({ model, overall, reliability }) =>
    reliability === undefined ? [] : [{ model, ece: overall.ece?.value, bins: reliability }],
  );
  if (panels.length === 0) return [];
  return [
    {
      kind: 'figure',
      name: `${attribute.name}-reliability`,
      svg: await renderSvg(reliabilitySpec(panels)),
      alt: `Reliability diagram of ${attribute.name}: accuracy by confidence, for ${panels.map(({ model }) => model).join(', ')}`,
      caption:
        'Bars: share of answers that are right, by the probability that the model gave them; points at the mean of those probabilities, with Wilson intervals. On the dashed line confidence is deserved, below it the model is too sure. Grey: answers in each bin.',
    },
  ];
}

async function confusionFigure(attribute: AttributeAnalysis, reading: Reading): Promise<Block[]> {
  const scores = scoresOf(attribute, reading);
  if (scores.length === 0) return [];
  const panels = scores.map(({ model, confusion }) => ({ model, matrix: confusion }));
  return [
    {
      kind: 'figure',
      name: `${attribute.name}-confusion-${reading}`,
      svg: await renderSvg(confusionSpec(attribute.choices, panels)),
      alt: `Confusion matrix of ${attribute.name} from ${READING_TITLES[reading]}: labels in rows, answers in columns`,
      caption: `Confusion matrix, answers from ${READING_TITLES[reading]}. Rows are labels; shade is the share of a row.`,
    },
  ];
}

function groupingTitle({ by }: Grouping): string {
  return by.join(' × ');
}

function gapTable(
  scores: readonly Score[],
  groupings: readonly string[],
  names: readonly FigureName[],
): Block[] {
  const rows = groupings.flatMap((title) =>
    scores.flatMap(({ reading, model, groupings: found }): TableRow[] => {
      const gaps = found.find((grouping) => groupingTitle(grouping) === title)?.gaps ?? {};
      return names.flatMap((name) => {
        const gap = gaps[name];
        if (gap === undefined) return [];
        // Without a difference no group is higher than another.
        const ends = gap.gap === 0 ? ['–', '–'] : [gap.highest, gap.lowest];
        const place = [title, READING_TITLES[reading], model, FIGURE_TITLES[name]];
        return [{ cells: [...place, formatShare(gap.gap), ...ends] }];
      });
    }),
  );
  if (rows.length === 0) return [];
  const titles = ['groups', 'read from', 'model', 'figure', 'largest gap', 'highest', 'lowest'];
  const columns = titles.map((title) => ({ title, isNumeric: title === 'largest gap' }));
  const ofAccuracy = rows.filter(({ cells }) => cells[3] === FIGURE_TITLES.accuracy);
  return [
    { kind: 'table', columns, rows: ofAccuracy },
    { kind: 'table', columns, rows, summary: `Gaps of all figures (${rows.length} rows)` },
  ];
}

function groupTable(title: string, scores: readonly Score[], names: readonly FigureName[]): Block {
  const groupings = scores.map(({ groupings: all }) =>
    all.find((one) => groupingTitle(one) === title),
  );
  const rows = (groupings[0]?.groups ?? []).flatMap((group, i) =>
    scores.flatMap(({ reading, model }, k): TableRow[] => {
      const figures = groupings[k]?.groups[i]?.figures;
      if (figures === undefined) return [];
      const count = group.isSmall ? `${figures.count} (small)` : String(figures.count);
      return [
        {
          cells: [
            group.name,
            READING_TITLES[reading],
            model,
            count,
            ...figureCells(names, figures),
            String(figures.unread),
          ],
          isMuted: group.isSmall,
        },
      ];
    }),
  );
  return {
    kind: 'table',
    columns: [
      ...[{ title }, { title: 'read from' }, { title: 'model' }, { title: 'n', isNumeric: true }],
      ...figureColumns(names),
      { title: 'unread', isNumeric: true },
    ],
    rows,
    ...(rows.length > MAX_ROWS_OPEN && { summary: `All ${rows.length} rows by ${title}` }),
  };
}

async function groupFigure(
  attribute: AttributeAnalysis,
  title: string,
  scores: readonly Score[],
): Promise<Block[]> {
  const points = scores.flatMap(({ model, groupings }) => {
    const groups = groupings.find((grouping) => groupingTitle(grouping) === title)?.groups ?? [];
    const shown =
      groups.length > MAX_GROUPS_DRAWN ? groups.filter(({ isSmall }) => !isSmall) : groups;
    return shown.slice(0, MAX_GROUPS_DRAWN).flatMap(({ name, isSmall, figures }) => {
      const { low, high, value } = figures.accuracy ?? {};
      if (value === undefined || low === undefined || high === undefined) return [];
      return [{ group: name, model, count: figures.count, isSmall, value, low, high }];
    });
  });
  const reading = scores[0]?.reading;
  // A single group is compared with nothing.
  if (new Set(points.map(({ group }) => group)).size < 2 || reading === undefined) return [];
  const overall = scores.flatMap(({ model, overall: { accuracy } }) =>
    accuracy === undefined ? [] : [{ model, value: accuracy.value }],
  );
  const models = scores.map(({ model }) => model);
  const file = title.replaceAll(' × ', '-x-').replaceAll(/[^\p{L}\p{N}-]+/gu, '-');
  return [
    {
      kind: 'figure',
      name: `${attribute.name}-by-${file}`,
      svg: await renderSvg(groupsSpec({ points, models, title: 'accuracy', overall })),
      alt: `Accuracy of ${attribute.name} by ${title}, with intervals, for ${models.join(', ')}`,
      caption: `Accuracy from ${READING_TITLES[reading]} by ${title} with Wilson intervals; dashed: all pictures. Pale and hollow: small groups.`,
    },
  ];
}

function unreadBlocks(attribute: AttributeAnalysis): Block[] {
  const rows = attribute.scores
    .filter(({ reading }) => reading === 'text')
    .flatMap(({ model, unreadAnswers }) =>
      unreadAnswers.map(({ id, text, problem }) => ({
        cells: [model, id, problem, text.slice(0, 200)],
      })),
    );
  if (rows.length === 0) return [];
  return [
    { kind: 'heading', level: 3, text: 'Answers that could not be read' },
    {
      kind: 'paragraph',
      text: 'They count as wrong. "nothing": no choice is named; "several": more than one is; the first ones of each model are shown.',
    },
    {
      kind: 'table',
      columns: ['model', 'item', 'names', 'answer'].map((title) => ({ title })),
      rows,
      summary: `${rows.length} unread answer(s)`,
    },
  ];
}

async function attributeBlocks(attribute: AttributeAnalysis, smallGroup: number): Promise<Block[]> {
  const names = figuresIn(attribute);
  const { scores, comparisons } = attribute;
  const readings = [...new Set(scores.map(({ reading }) => reading))];
  const main = scoresOf(attribute, readings.includes('probability') ? 'probability' : 'text');
  const titles = [...new Set(scores.flatMap(({ groupings }) => groupings.map(groupingTitle)))];
  const blocks: Block[] = [
    { kind: 'heading', level: 2, text: attribute.name },
    { kind: 'paragraph', text: `Question: ${attribute.question}` },
  ];
  if (comparisons.length > 0) blocks.push(comparisonTable(comparisons));
  blocks.push(...(await reliabilityFigure(attribute)));
  for (const reading of readings) blocks.push(...(await confusionFigure(attribute, reading)));
  if (titles.length > 0) {
    const text = `Largest gaps between groups of at least ${smallGroup} pictures. Among many groups the largest gap is large by chance alone: look at the intervals.`;
    const gaps = gapTable(scores, titles, names);
    blocks.push({ kind: 'heading', level: 3, text: `${attribute.name} by group` });
    if (gaps.length > 0) blocks.push({ kind: 'paragraph', text }, ...gaps);
  }
  for (const title of titles) {
    const unknown = main[0]?.groupings.find((one) => groupingTitle(one) === title)?.unknown ?? 0;
    blocks.push({ kind: 'heading', level: 4, text: `By ${title}` });
    if (unknown > 0) {
      blocks.push({
        kind: 'paragraph',
        text: `Not in this table: ${unknown} picture(s) whose ${title} is not known.`,
      });
    }
    blocks.push(...(await groupFigure(attribute, title, main)), groupTable(title, scores, names));
  }
  return [...blocks, ...unreadBlocks(attribute)];
}

export async function fairnessDocument(options: FairnessTextOptions): Promise<ReportDocument> {
  const { attributes, models, isPartial, notes, smallGroup, confidence } = options;
  const blocks: Block[] = [
    {
      kind: 'paragraph',
      text: `Answers of ${models.join(', ')} held against the labels of the pictures. In brackets ${confidence * 100} % intervals: Wilson's for accuracy and within one bin, bootstrap for balanced accuracy and macro-F1. Groups of fewer than ${smallGroup} pictures are marked as small and decide no gap.`,
    },
  ];
  if (isPartial) blocks.push({ kind: 'warning', text: 'Only a part of the data was used.' });
  if (notes.length > 0) blocks.push({ kind: 'list', items: notes });
  blocks.push(headline(attributes), {
    kind: 'paragraph',
    text: 'Labels of gender, age and race are judgements of appearance, often by strangers, and errors in them count as errors of the model. Good figures here are no licence to sort, identify or judge people; see docs/fairness.md.',
  });
  for (const attribute of attributes)
    blocks.push(...(await attributeBlocks(attribute, smallGroup)));
  return { title: 'Fairness report', blocks };
}
