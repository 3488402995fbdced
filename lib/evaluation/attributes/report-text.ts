/** The fairness report as a document: tables and plots of an analysis, with the words that readers need. */
import { confusionSpecs } from '../report/charts/confusion.js';
import { reliabilitySpecs } from '../report/charts/reliability.js';
import { type Block, numeric, type TableBlock } from '../report/document.js';
import { panelFigures } from '../report/panels.js';
import { comparisonTable } from '../paired/comparison.js';
import type { UsedCalibration } from '../types.js';
import type { AttributeAnalysis, Comparison, Reading } from './analysis.js';
import { FIGURE_NAMES, FIGURE_TITLES } from './figures.js';
import { calibrationBlocks } from './report-calibration.js';
import { figureCells, figuresIn, groupBlocks, READING_TITLES, scoresOf } from './report-groups.js';

/** Figures over all pictures, a row for each attribute, reading and model. */
export function headline(attributes: readonly AttributeAnalysis[]): TableBlock {
  const names = FIGURE_NAMES.filter((name) =>
    attributes.some((attribute) => figuresIn(attribute).includes(name)),
  );
  return {
    kind: 'table',
    columns: [
      { title: 'attribute' },
      { title: 'read from' },
      { title: 'model' },
      ...numeric('n', ...names.map((name) => FIGURE_TITLES[name]), 'unread'),
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

function reliabilityFigure(attribute: AttributeAnalysis): Block[] {
  const panels = scoresOf(attribute, 'probability').flatMap((score) => {
    const { model, overall, reliability, calibratedReliability } = score;
    return [
      { model, ece: overall.ece?.value, bins: reliability },
      {
        model: `${model}, calibrated`,
        ece: overall.calibratedEce?.value,
        bins: calibratedReliability,
      },
    ].flatMap(({ bins, ...panel }) => (bins === undefined ? [] : [{ ...panel, bins }]));
  });
  if (panels.length === 0) return [];
  return panelFigures({
    name: `${attribute.name}-reliability`,
    models: panels.map(({ model }) => model),
    specs: reliabilitySpecs(panels),
    alt: `Reliability diagram of ${attribute.name}: accuracy by confidence`,
    caption:
      'Bars: share of answers that are right, by the probability that the model gave them; points at the mean of those probabilities, with Wilson intervals. On the dashed line confidence is deserved, below it the model is too sure. Grey: answers in each bin.',
  });
}

function confusionFigure(attribute: AttributeAnalysis, reading: Reading): Block[] {
  const scores = scoresOf(attribute, reading);
  if (scores.length === 0) return [];
  const panels = scores.map(({ model, confusion }) => ({ model, matrix: confusion }));
  return panelFigures({
    name: `${attribute.name}-confusion-${reading}`,
    models: panels.map(({ model }) => model),
    specs: confusionSpecs(attribute.choices, panels),
    alt: `Confusion matrix of ${attribute.name} from ${READING_TITLES[reading]}: labels in rows, answers in columns`,
    caption: `Confusion matrix, answers from ${READING_TITLES[reading]}. Rows are labels; shade is the share of a row.`,
  });
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
  if (comparisons.length > 0) {
    const cell = ({ reading }: Comparison): string => READING_TITLES[reading];
    blocks.push(comparisonTable(comparisons, { title: 'read from', cell }));
  }
  blocks.push(...reliabilityFigure(attribute));
  for (const reading of new Set(scores.map((score) => score.reading))) {
    blocks.push(...confusionFigure(attribute, reading));
  }
  return [...blocks, ...groupBlocks(attribute, smallGroup), ...unreadBlocks(attribute)];
}

export function fairnessBlocks(
  attributes: readonly AttributeAnalysis[],
  smallGroup: number,
  calibrations: readonly UsedCalibration[],
): Block[] {
  const text =
    'Labels of gender, age and race are judgements of appearance, often by strangers, and errors in them count as errors of the model. Good figures here are no licence to sort, identify or judge people; see docs/fairness.md.';
  return [
    headline(attributes),
    { kind: 'paragraph', text },
    ...calibrationBlocks(calibrations, attributes),
    ...attributes.flatMap((attribute) => attributeBlocks(attribute, smallGroup)),
  ];
}
