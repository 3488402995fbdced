/** The calibration report: what temperatures do to each question, over all pictures and group by group. */
import type { CalibratedQuestion, CalibrationFile } from '../../calibration/index.js';
import { reliabilitySpecs } from '../report/charts/reliability.js';
import { type CsvCell, csvOf } from '../report/csv.js';
import { type Block, cellsOf, numeric, type TableBlock } from '../report/document.js';
import { formatShare, rounded, roundedJson } from '../report/numbers.js';
import { panelFigures } from '../report/panels.js';
import { writeReport } from '../report/write.js';
import type { BenchmarkSummary } from '../types.js';
import type { FittedQuestion } from './fit.js';

export interface CalibrationReport {
  /** An existing folder. */
  readonly output: string;
  readonly file: CalibrationFile;
  readonly fitted: readonly FittedQuestion[];
  readonly isPartial: boolean;
  readonly notes: readonly string[];
  readonly charts: boolean | undefined;
}

type Figures = Pick<CalibratedQuestion, 'count' | 'accuracy' | 'ece' | 'nll'>;

const FIGURES = ['n', 'accuracy', 'ECE before', 'ECE after', 'NLL before', 'NLL after'];

const cellsOfFigures = ({ count, accuracy, ece, nll }: Figures): string[] => [
  String(count),
  ...[accuracy, ece.before, ece.after, nll.before, nll.after].map(formatShare),
];

const placeOf = ({ name, field }: CalibratedQuestion): string =>
  field === undefined ? name : `${name} (${field.path})`;

function headline(questions: readonly CalibratedQuestion[]): TableBlock {
  return {
    kind: 'table',
    columns: [{ title: 'question' }, ...numeric('temperature', ...FIGURES)],
    rows: questions.map((one) => ({
      cells: [
        placeOf(one),
        `${one.temperature.toFixed(3)}${one.isAtBound ? ' (at the bound)' : ''}`,
        ...cellsOfFigures(one),
      ],
    })),
  };
}

function questionBlocks({ question: one, reliability }: FittedQuestion): Block[] {
  const panels = (['before', 'after'] as const).map((when) => ({
    model: when,
    ece: one.ece[when],
    bins: reliability[when],
  }));
  const columns = [...new Set(one.groups.map(({ by }) => by))];
  return [
    { kind: 'heading', level: 2, text: placeOf(one) },
    { kind: 'paragraph', text: `Question: ${one.question}` },
    ...(one.isAtBound
      ? [
          {
            kind: 'warning',
            text: 'The labels ask for a temperature beyond what is fitted: the answers are far surer or less sure than they deserve, or as good as drawn. Do not rest on it.',
          } as const,
        ]
      : []),
    ...panelFigures({
      name: `${one.name}-reliability`,
      models: panels.map(({ model }) => model),
      specs: reliabilitySpecs(panels),
      alt: `Reliability diagram of ${one.name}`,
      caption:
        'Bars: share of answers that are right, by the probability that they were given; on the dashed line confidence is deserved. Grey: answers in each bin.',
    }),
    ...columns.flatMap((by): Block[] => [
      { kind: 'heading', level: 3, text: `${one.name} by ${by}` },
      {
        kind: 'table',
        columns: [{ title: by }, ...numeric(...FIGURES)],
        rows: one.groups
          .filter((group) => group.by === by)
          .map((group) => ({
            cells: [group.group, ...cellsOfFigures(group)],
            isMuted: group.isSmall,
          })),
      },
    ]),
  ];
}

const CSV_HEADER = [
  ...['question', 'grouping', 'group', 'count', 'is_small', 'accuracy'],
  ...['ece_before', 'ece_after', 'nll_before', 'nll_after'],
];

function csvRow(place: readonly CsvCell[], isSmall: boolean, figures: Figures): CsvCell[] {
  const { count, accuracy, ece, nll } = figures;
  const values = [accuracy, ece.before, ece.after, nll.before, nll.after];
  return [...place, count, isSmall, ...values.map(rounded)];
}

function figuresOf(questions: readonly CalibratedQuestion[]): Record<string, number> {
  const pairs = questions.flatMap(({ name, temperature, ece, nll }) => [
    [`${name}.temperature`, temperature] as const,
    [`${name}.ece.before`, ece.before] as const,
    [`${name}.ece.after`, ece.after] as const,
    [`${name}.nll.before`, nll.before] as const,
    [`${name}.nll.after`, nll.after] as const,
  ]);
  return Object.fromEntries(pairs);
}

/** @throws TrainingError FACELLM_RUN_WRITE; MissingPackageError FACELLM_PACKAGE_MISSING */
export async function writeCalibrationReport(report: CalibrationReport): Promise<BenchmarkSummary> {
  const { output, file, fitted, isPartial, notes, charts } = report;
  const { questions, folds } = file;
  const main = headline(questions);
  const intro = `Temperatures fitted on labels, one a question: the log-probabilities of its answers are divided by it, which changes how sure the model is and never its first answer. "After" is honest: pictures were dealt into ${folds} parts, and each part was scaled by what the others fit; the temperature that is kept is fitted on all. ECE: how far confidence and accuracy are apart; NLL: mean negative log-likelihood of the labels, in nats. Holds for this model (${file.fingerprint}), these questions and pictures like these.`;
  const caution =
    'One temperature serves all groups: where a group stays badly calibrated, its confidences are to be trusted less. Labels of gender, age and race are judgements of appearance, and what is calibrated here is agreement with them.';
  const document = {
    title: 'Calibration report',
    blocks: [
      { kind: 'paragraph', text: intro },
      ...(isPartial
        ? [{ kind: 'warning', text: 'Only a part of the data was used.' } as const]
        : []),
      ...(notes.length > 0 ? [{ kind: 'list', items: notes } as const] : []),
      main,
      { kind: 'paragraph', text: caution },
      ...fitted.flatMap(questionBlocks),
    ] satisfies readonly Block[],
  };
  const csv = questions.flatMap((one) => [
    csvRow([one.name, '', ''], false, one),
    ...one.groups.map((group) => csvRow([one.name, group.by, group.group], group.isSmall, group)),
  ]);
  const json = roundedJson({ ...file, format: 'facellm-calibration-report-1', isPartial, notes });
  const files = await writeReport({
    ...{ output, stem: 'calibration', document, json, charts },
    csv: csvOf(CSV_HEADER, csv),
  });
  const models = [{ name: 'model', figures: figuresOf(questions) }];
  return { benchmark: 'calibration', isPartial, models, table: cellsOf(main), files };
}
