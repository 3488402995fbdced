/** The report of a FaceXBench run: its tables, and what a reader has to know of them. */
import type { Block, ReportDocument } from '../report/document.js';
import { formatPValue } from '../report/numbers.js';
import { CATEGORIES } from './published-set.js';
import {
  PUBLISHED_SCORES,
  PUBLISHED_SOURCE,
  PUBLISHED_TASK_MODELS,
  PUBLISHED_TASKS,
} from './published-scores.js';
import { faceXFigures } from './report-figures.js';
import { type FaceXResults, scoreRows } from './results.js';
import type { Group, Reading, Score } from './scores.js';

const TABLES: readonly (readonly [Group['table'], string])[] = [
  ['overall', 'All questions'],
  ['category', 'By category'],
  ['task', 'By task'],
  ['images', 'By number of pictures'],
  ['fairface', 'With and without questions made from FairFace'],
];

const READINGS: Readonly<Record<Reading, string>> = {
  official:
    'official: the first letter that the authors’ script finds in the reply, else an option whose text occurs in it',
  strict: 'strict: the reply names one option and says nothing else',
  probability: 'probability: the most probable letter; no text is generated or read',
};

export function describeResults(results: FaceXResults): ReportDocument {
  const readings = [...new Set(results.scores.map(({ reading }) => reading))];
  return {
    title: results.title,
    blocks: [
      ...heading(results),
      { kind: 'list', items: readings.map((reading) => READINGS[reading]) },
      ...TABLES.flatMap(([table, title]) => [
        ...scoreTable(results, table, title, readings),
        ...(table === 'overall' ? faceXFigures(results) : []),
      ]),
      ...comparisonTable(results),
      ...failureList(results),
      ...publishedTables(results),
    ],
  };
}

function heading({ isPartial, notes, setting, chance }: FaceXResults): Block[] {
  const warning =
    'Not a FaceXBench score. The questions are not the whole published set, so no figure below may be ' +
    'compared with one of FaceXBench.';
  const text =
    `Setting: ${setting}. Accuracies in per cent with Wilson's 95 % interval, then right / all. ` +
    `Guessing gives ${percent(chance)}. A reply that names no option is wrong.`;
  return [
    ...(isPartial ? [{ kind: 'warning', text: warning } as const] : []),
    ...(notes.length > 0 ? [{ kind: 'list', items: notes } as const] : []),
    { kind: 'paragraph', text },
  ];
}

function percent(share: number): string {
  return (100 * share).toFixed(2);
}

function title(text: string): Block {
  return { kind: 'heading', level: 2, text };
}

/** @param texts how many columns, from the left, are no numbers */
function table(header: readonly string[], rows: readonly (readonly string[])[], texts = 1): Block {
  return {
    kind: 'table',
    columns: header.map((name, i) => ({ title: name, isNumeric: i >= texts })),
    rows: rows.map((cells) => ({ cells })),
  };
}

function show(score: Score | undefined): string {
  if (score === undefined) return '–';
  const { accuracy, low, high, correct, total } = score;
  return `${percent(accuracy)} (${percent(low)}–${percent(high)}), ${correct} / ${total}`;
}

/** A row for each group and model, the readings side by side. */
function scoreTable(
  results: FaceXResults,
  name: Group['table'],
  text: string,
  readings: readonly Reading[],
): Block[] {
  const hasText = readings.includes('official');
  const rows = scoreRows(results, name).map(({ group, model, of }) => {
    const unread = (['official', 'strict'] as const).map((one) => of(one)?.unanswered ?? '–');
    const cells = readings.map((reading) => show(of(reading)));
    return [group, model, ...cells, ...(hasText ? [unread.join(', ')] : [])];
  });
  const last = hasText ? ['no answer read (official, strict)'] : [];
  return [title(text), table(['questions', 'model', ...readings, ...last], rows, 2)];
}

function comparisonTable({ comparisons, models }: FaceXResults): Block[] {
  if (comparisons.length === 0) return [];
  const rows = comparisons
    .filter(({ table: name }) => name === 'overall' || name === 'category' || name === 'fairface')
    .map((c) => [
      c.group,
      `${c.second} − ${c.first}`,
      c.reading,
      `${c.difference >= 0 ? '+' : '−'}${percent(Math.abs(c.difference))}`,
      `${c.onlyFirst} / ${c.onlySecond}`,
      formatPValue(c.pValue),
      c.isExact ? 'exact' : 'χ²',
    ]);
  const text =
    'McNemar’s test on the questions that only one of the two answered rightly. Many rows are many tests: ' +
    'one in twenty falls below 0.05 without any difference.';
  const header = [
    ...['questions', 'models', 'reading', 'difference'],
    ...['only first / only second right', 'p', 'test'],
  ];
  return [
    title(`Compared with ${models[0] ?? ''} on the same questions`),
    { kind: 'paragraph', text },
    table(header, rows, 3),
  ];
}

function failureList({ failures }: FaceXResults): Block[] {
  if (failures.length === 0) return [];
  const shown = failures.slice(0, 50).map(({ model, id, reason }) => `${model}, ${id}: ${reason}`);
  const hidden = failures.length - shown.length;
  const items = [...shown, ...(hidden > 0 ? [`and ${hidden} more, in questions-*.jsonl`] : [])];
  const text = 'They count as wrong. The same command asks them again.';
  return [
    title('Questions that could not be asked'),
    { kind: 'paragraph', text },
    { kind: 'list', items },
  ];
}

function publishedTables(results: FaceXResults): Block[] {
  if (!results.scores.some(({ reading }) => reading === 'official')) return [];
  const categories = Object.keys(CATEGORIES);
  const ours = (group: string, model: string): string => {
    // The reading that the authors used stands for ours.
    const row = scoreRows(results, 'overall', 'category', 'task').find(
      (one) => one.group === group && one.model === model,
    );
    const score = row?.of('official');
    return score === undefined ? '–' : percent(score.accuracy);
  };
  const measured = results.models.map((model) => [
    `${model} (measured here)`,
    ...['all questions', ...categories].map((group) => ours(group, model)),
  ]);
  const theirs = PUBLISHED_SCORES.map(({ model, overall, categories: values }) => [
    `${model} (published)`,
    overall.toFixed(2),
    ...categories.map((category) => values[category]?.toFixed(2) ?? '–'),
  ]);
  const perTask = Object.entries(PUBLISHED_TASKS).map(([task, values]) => [
    task,
    ...results.models.map((model) => ours(task, model)),
    ...values.map((value) => value.toFixed(1)),
  ]);
  const text =
    `Figures marked (published) are other people's results and were not measured here: ${PUBLISHED_SOURCE}. Ours are ` +
    'by the official reading.';
  const warning = 'Ours are of a partial set: not comparable with the published ones.';
  return [
    title('Beside published figures'),
    { kind: 'paragraph', text },
    ...(results.isPartial ? [{ kind: 'warning', text: warning } as const] : []),
    table(['model', 'overall', ...categories], [...measured, ...theirs]),
    table(
      [
        'task',
        ...results.models.map((model) => `${model} (measured here)`),
        ...PUBLISHED_TASK_MODELS.map((model) => `${model} (published)`),
      ],
      perTask,
    ),
  ];
}
