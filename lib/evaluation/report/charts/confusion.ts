/** A confusion matrix: shade is the share of a true class, the number a count. */
import type { ConfusionMatrix } from '../../metrics/classification.js';
import { type ChartSpec, shorten } from './theme.js';

export interface ConfusionPanel {
  readonly model: string;
  readonly matrix: ConfusionMatrix;
}

export const UNREAD = 'unread';
const CELL = 46;
/** On shades that are the same on a dark page: apart from the theme's ink, which is not. */
const [ON_LIGHT, FAINT_ON_LIGHT, ON_DARK] = ['#10141a', '#5f6873', '#fdfdfd'] as const;
/** Above this share the shade is so dark that numbers turn white. */
const DARK = 0.6;

function cells({ counts, unread }: ConfusionMatrix, labels: readonly string[], hasUnread: boolean) {
  return counts.flatMap((row, truth) => {
    const total = row.reduce((sum, n) => sum + n, unread[truth] ?? 0);
    const all = hasUnread ? [...row, unread[truth] ?? 0] : row;
    return all.map((count, predicted) => ({
      truth: labels[truth],
      predicted: labels[predicted] ?? UNREAD,
      count,
      share: total === 0 ? 0 : count / total,
    }));
  });
}

function panel(
  { model, matrix }: ConfusionPanel,
  labels: readonly string[],
  hasUnread: boolean,
): ChartSpec {
  const columns = hasUnread ? [...labels, UNREAD] : [...labels];
  return {
    title: shorten(model, 24),
    width: { step: CELL },
    height: { step: CELL * 0.75 },
    data: { values: cells(matrix, labels, hasUnread) },
    encoding: {
      x: {
        field: 'predicted',
        type: 'nominal',
        sort: columns,
        scale: { domain: columns },
        axis: { title: 'answer', labelAngle: -40, domain: false, ticks: false },
      },
      y: {
        field: 'truth',
        type: 'nominal',
        sort: [...labels],
        scale: { domain: [...labels] },
        axis: { title: 'label', domain: false, ticks: false },
      },
    },
    layer: [
      {
        mark: { type: 'rect', stroke: 'white', strokeWidth: 2 },
        encoding: {
          color: {
            field: 'share',
            type: 'quantitative',
            scale: { domain: [0, 0.5, 1], range: ['#f4f7fb', '#6baed6', '#08306b'] },
            legend: {
              title: 'share of the label',
              format: '.0%',
              orient: 'bottom',
              gradientLength: 120,
            },
          },
        },
      },
      {
        mark: { type: 'text', fontSize: 12 },
        encoding: {
          text: { field: 'count' },
          color: {
            condition: [
              { test: `datum.share > ${DARK}`, value: ON_DARK },
              { test: 'datum.count === 0', value: FAINT_ON_LIGHT },
            ],
            value: ON_LIGHT,
          },
        },
      },
    ],
  };
}

/**
 * One plot a model; all have the same columns.
 *
 * @param labels of the classes, in their order; repeated ones after shortening get their number
 */
export function confusionSpecs(
  labels: readonly string[],
  panels: readonly ConfusionPanel[],
): readonly ChartSpec[] {
  const names = labels.map((label) => shorten(label, 20));
  const apart = names.map((name, i) =>
    names.indexOf(name) === i && name !== UNREAD ? name : `${name} (${i + 1})`,
  );
  const hasUnread = panels.some(({ matrix }) => matrix.unread.some((count) => count > 0));
  return panels.map((one) => panel(one, apart, hasUnread));
}
