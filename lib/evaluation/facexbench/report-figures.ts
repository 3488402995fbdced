/** FaceXBench's plots: accuracy by task with intervals, and the radar of categories as in the paper, published models beside. */
import { groupFigure } from '../paired/report.js';
import { radarSpec } from '../report/charts/radar.js';
import type { Block } from '../report/document.js';
import { PUBLISHED_SCORES, PUBLISHED_TASKS, PUBLISHED_TASK_MODELS } from './published-scores.js';
import { type FaceXResults, scoreRows } from './results.js';
import type { Reading, Score } from './scores.js';

/** Fewer axes make no shape. */
const LEAST_CATEGORIES = 3;
/** A task of fewer questions is pale, as groups are elsewhere. */
const SMALL_TASK = 30;
/** Of the published figures, that many lines can be told apart: FaceLLM's own and one of another house. */
const RADAR_MODELS: readonly string[] = [...PUBLISHED_TASK_MODELS, 'GPT-4o'];

const BY: Readonly<Record<Reading, string>> = {
  official: 'official reading',
  strict: 'strict reading',
  probability: 'choice probabilities',
};

/** Strict says how much of the official reading is chance; the others are what models are compared by. */
const DRAWN: readonly Reading[] = ['official', 'probability'];

function pointOf({ group, model, accuracy: value, low, high, total: count }: Score) {
  return { group, model, count, isSmall: count < SMALL_TASK, value, low, high };
}

function taskFigure(results: FaceXResults, reading: Reading, beside: string): Block[] {
  const { models } = results;
  const scores = results.scores.filter((score) => score.reading === reading);
  const points = scores.filter(({ table }) => table === 'task').map(pointOf);
  const tasks = new Set(points.map(({ group }) => group));
  const values = Object.entries(PUBLISHED_TASKS).flatMap(([group, accuracies]) =>
    !tasks.has(group)
      ? []
      : accuracies.map((accuracy, i) => ({
          ...{ group, name: PUBLISHED_TASK_MODELS[i] ?? '', value: accuracy / 100 },
        })),
  );
  const isOfficial = reading === 'official';
  return groupFigure({
    ...{ points, models, title: 'accuracy', name: `tasks-${reading}` },
    overall: scores
      .filter(({ table }) => table === 'overall')
      .map(({ model, accuracy: value }) => ({ model, value })),
    ...(isOfficial && { published: { names: PUBLISHED_TASK_MODELS, values } }),
    alt: `Accuracy by task, ${BY[reading]}, with intervals`,
    caption: `Accuracy by task, ${BY[reading]}, with Wilson intervals; dashed: all questions. Pale and hollow: fewer than ${SMALL_TASK} questions.${isOfficial ? ` Grey: published (FaceLLM).${beside}` : ''}`,
  });
}

function radarFigure(results: FaceXResults, reading: Reading, beside: string): Block[] {
  const { models } = results;
  const rows = scoreRows(results, 'category');
  const categories = [...new Set(rows.map(({ group }) => group))];
  if (categories.length < LEAST_CATEGORIES) return [];
  const lines = models.map((model) => ({
    model,
    values: categories.map(
      (category) =>
        rows.find((row) => row.group === category && row.model === model)?.of(reading)?.accuracy,
    ),
  }));
  const isOfficial = reading === 'official';
  const published = PUBLISHED_SCORES.filter(({ model }) => RADAR_MODELS.includes(model)).map(
    ({ model, categories: accuracies }) => ({
      model,
      values: categories.map((category) => {
        const accuracy = accuracies[category];
        return accuracy === undefined ? undefined : accuracy / 100;
      }),
    }),
  );
  return [
    {
      kind: 'figure',
      name: `categories-${reading}`,
      spec: radarSpec({ categories, lines, published: isOfficial ? published : [] }),
      alt: `Radar of accuracies by category, ${BY[reading]}, for ${models.join(', ')}`,
      caption: `Accuracy by category, ${BY[reading]}: the centre is 0, the edge 100 %.${isOfficial ? ` Grey: published.${beside}` : ''}`,
    },
  ];
}

export function faceXFigures(results: FaceXResults): Block[] {
  const there = DRAWN.filter((reading) => results.scores.some((one) => one.reading === reading));
  const beside = results.isPartial
    ? ' Ours are of a partial set: not comparable with the published ones.'
    : '';
  return [
    ...there.flatMap((reading) => taskFigure(results, reading, beside)),
    ...there.flatMap((reading) => radarFigure(results, reading, beside)),
  ];
}
