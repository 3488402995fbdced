/** The tables of a FaceXBench run as Markdown. */
import { CATEGORIES } from './published-set.js';
import { PUBLISHED_SCORES, PUBLISHED_SOURCE, PUBLISHED_TASKS } from './published-scores.js';
import type { FaceXResults } from './results.js';
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

export function renderMarkdown(results: FaceXResults): string {
  const readings = [...new Set(results.scores.map(({ reading }) => reading))];
  return [
    `# ${results.title}`,
    ...heading(results),
    readings.map((reading) => `- ${READINGS[reading]}`).join('\n'),
    ...TABLES.flatMap(([table, title]) => scoreTable(results, table, title, readings)),
    ...comparisonTable(results),
    ...failureList(results),
    ...publishedTables(results),
  ]
    .map((part) => `${part}\n`)
    .join('\n');
}

function heading({ isPartial, notes, setting, chance }: FaceXResults): string[] {
  const warning =
    '**Not a FaceXBench score.** The questions are not the whole published set, so no figure below may be ' +
    'compared with one of FaceXBench.';
  return [
    ...(isPartial ? [warning] : []),
    ...(notes.length > 0 ? [notes.map((note) => `- ${note}`).join('\n')] : []),
    `Setting: ${setting}. Accuracies in per cent with Wilson's 95 % interval, then right / all. ` +
      `Guessing gives ${percent(chance)}. A reply that names no option is wrong.`,
  ];
}

function percent(share: number): string {
  return (100 * share).toFixed(2);
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [
    line(header),
    line(header.map((_, i) => (i === 0 ? '---' : '---:'))),
    ...rows.map(line),
  ].join('\n');
}

function show(score: Score | undefined): string {
  if (score === undefined) return '–';
  const { accuracy, low, high, correct, total } = score;
  return `${percent(accuracy)} (${percent(low)}–${percent(high)}), ${correct} / ${total}`;
}

/** A row for each group and model, the readings side by side. */
function scoreTable(
  { scores, models }: FaceXResults,
  name: Group['table'],
  title: string,
  readings: readonly Reading[],
): string[] {
  const own = scores.filter((score) => score.table === name);
  const groups = [...new Set(own.map(({ group }) => group))];
  const rows = groups.flatMap((group) =>
    models.map((model) => [
      group,
      model,
      ...readings.map((reading) =>
        show(own.find((s) => s.group === group && s.model === model && s.reading === reading)),
      ),
      ...(readings.includes('official') ? [unanswered(own, group, model)] : []),
    ]),
  );
  const last = readings.includes('official') ? ['no answer read (official, strict)'] : [];
  return [`## ${title}`, table(['questions', 'model', ...readings, ...last], rows)];
}

function unanswered(scores: readonly Score[], group: string, model: string): string {
  const count = (reading: Reading): string => {
    const score = scores.find(
      (s) => s.group === group && s.model === model && s.reading === reading,
    );
    return String(score?.unanswered ?? '–');
  };
  return `${count('official')}, ${count('strict')}`;
}

function comparisonTable({ comparisons, models }: FaceXResults): string[] {
  if (comparisons.length === 0) return [];
  const rows = comparisons
    .filter(({ table: name }) => name === 'overall' || name === 'category' || name === 'fairface')
    .map((c) => [
      c.group,
      `${c.second} − ${c.first}`,
      c.reading,
      `${c.difference >= 0 ? '+' : '−'}${percent(Math.abs(c.difference))}`,
      `${c.onlyFirst} / ${c.onlySecond}`,
      c.pValue < 0.0001 ? '< 0.0001' : c.pValue.toFixed(4),
      c.isExact ? 'exact' : 'χ²',
    ]);
  return [
    `## Compared with ${models[0] ?? ''} on the same questions`,
    'McNemar’s test on the questions that only one of the two answered rightly. Many rows are many tests: ' +
      'one in twenty falls below 0.05 without any difference.',
    table(
      [
        'questions',
        'models',
        'reading',
        'difference',
        'only first / only second right',
        'p',
        'test',
      ],
      rows,
    ),
  ];
}

function failureList({ failures }: FaceXResults): string[] {
  if (failures.length === 0) return [];
  const shown = failures
    .slice(0, 50)
    .map(({ model, id, reason }) => `- ${model}, ${id}: ${reason}`);
  const hidden = failures.length - shown.length;
  return [
    '## Questions that could not be asked',
    'They count as wrong. The same command asks them again.',
    [...shown, ...(hidden > 0 ? [`- and ${hidden} more, in questions-*.jsonl`] : [])].join('\n'),
  ];
}

/** The reading that the authors used stands for ours. */
function ownAccuracy(results: FaceXResults, model: string, name: string, group: string): string {
  const score = results.scores.find(
    (s) => s.model === model && s.table === name && s.group === group && s.reading === 'official',
  );
  return score === undefined ? '–' : percent(score.accuracy);
}

function publishedTables(results: FaceXResults): string[] {
  if (!results.scores.some(({ reading }) => reading === 'official')) return [];
  const categories = Object.keys(CATEGORIES);
  const tasks = Object.keys(PUBLISHED_TASKS);
  const ours = (name: 'category' | 'task', groups: readonly string[]): string[][] =>
    results.models.map((model) => [
      `${model} (measured here)`,
      ownAccuracy(results, model, 'overall', 'all questions'),
      ...groups.map((group) => ownAccuracy(results, model, name, group)),
    ]);
  const theirs = PUBLISHED_SCORES.map(({ model, overall, categories: values }) => [
    `${model} (published)`,
    overall.toFixed(2),
    ...categories.map((category) => values[category]?.toFixed(2) ?? '–'),
  ]);
  const perTask = ['FaceLLM-1B', 'FaceLLM-8B', 'FaceLLM-38B'].map((model, k) => [
    `${model} (published)`,
    PUBLISHED_SCORES.find((score) => score.model === model)?.overall.toFixed(2) ?? '–',
    ...tasks.map((task) => PUBLISHED_TASKS[task]?.[k]?.toFixed(1) ?? '–'),
  ]);
  return [
    '## Beside published figures',
    `Rows marked (published) are other people's results and were not measured here: ${PUBLISHED_SOURCE}. Ours ` +
      `are by the official reading${results.isPartial ? ', on a partial set: **not comparable**' : ''}.`,
    table(['model', 'overall', ...categories], [...ours('category', categories), ...theirs]),
    table(['model', 'overall', ...tasks], [...ours('task', tasks), ...perTask]),
  ];
}
