/** The fairness report as a document: tables and plots of an analysis, with the words that readers need. */
import {
  type Block,
  confusionSpec,
  formatDifference,
  formatPValue,
  reliabilitySpec,
  type ReportDocument,
} from '../report/index.js';
import type { AttributeAnalysis, Comparison, Reading } from './analysis.js';
import { FIGURE_NAMES } from './figures.js';
import { groupBlocks } from './report-groups.js';
import { figureCells, figureColumns, figuresIn, READING_TITLES, scoresOf } from './report-terms.js';

export interface FairnessTextOptions {
  readonly attributes: readonly AttributeAnalysis[];
  readonly models: readonly string[];
  readonly isPartial: boolean;
  readonly notes: readonly string[];
  readonly smallGroup: number;
  readonly confidence: number;
}

/** Figures over all pictures, a row for each attribute, reading and model. */
export function headline(
  attributes: readonly AttributeAnalysis[],
): Extract<Block, { kind: 'table' }> {
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

function reliabilityFigure(attribute: AttributeAnalysis): Block[] {
  const panels = scoresOf(attribute, 'probability').flatMap(({ model, overall, reliability }) =>
    reliability === undefined ? [] : [{ model, ece: overall.ece?.value, bins: reliability }],
  );
  if (panels.length === 0) return [];
  return [
    {
      kind: 'figure',
      name: `${attribute.name}-reliability`,
      spec: reliabilitySpec(panels),
      alt: `Reliability diagram of ${attribute.name}: accuracy by confidence, for ${panels.map(({ model }) => model).join(', ')}`,
      caption:
        'Bars: share of answers that are right, by the probability that the model gave them; points at the mean of those probabilities, with Wilson intervals. On the dashed line confidence is deserved, below it the model is too sure. Grey: answers in each bin.',
    },
  ];
}

function confusionFigure(attribute: AttributeAnalysis, reading: Reading): Block[] {
  const scores = scoresOf(attribute, reading);
  if (scores.length === 0) return [];
  const panels = scores.map(({ model, confusion }) => ({ model, matrix: confusion }));
  return [
    {
      kind: 'figure',
      name: `${attribute.name}-confusion-${reading}`,
      spec: confusionSpec(attribute.choices, panels),
      alt: `Confusion matrix of ${attribute.name} from ${READING_TITLES[reading]}: labels in rows, answers in columns`,
      caption: `Confusion matrix, answers from ${READING_TITLES[reading]}. Rows are labels; shade is the share of a row.`,
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

function attributeBlocks(attribute: AttributeAnalysis, smallGroup: number): Block[] {
  const { name, question, scores, comparisons } = attribute;
  const blocks: Block[] = [
    { kind: 'heading', level: 2, text: name },
    { kind: 'paragraph', text: `Question: ${question}` },
  ];
  if (comparisons.length > 0) blocks.push(comparisonTable(comparisons));
  blocks.push(...reliabilityFigure(attribute));
  for (const reading of new Set(scores.map((score) => score.reading))) {
    blocks.push(...confusionFigure(attribute, reading));
  }
  return [...blocks, ...groupBlocks(attribute, smallGroup), ...unreadBlocks(attribute)];
}

export function fairnessDocument(options: FairnessTextOptions): ReportDocument {
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
  for (const attribute of attributes) blocks.push(...attributeBlocks(attribute, smallGroup));
  return { title: 'Fairness report', blocks };
}
