/** One figure of every group with its interval, models beside each other; small groups are pale and hollow. */
import { type ChartSpec, LEGEND, modelScales, share, shorten } from './theme.js';

export interface GroupPoint {
  readonly group: string;
  readonly model: string;
  readonly count: number;
  readonly isSmall: boolean;
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

export interface GroupsChartOptions {
  /** In the order in which groups are shown, from the top. */
  readonly points: readonly GroupPoint[];
  readonly models: readonly string[];
  /** Of the axis: "accuracy". */
  readonly title: string;
  /** The figure over all groups, one a model: a dashed line. */
  readonly overall: readonly { readonly model: string; readonly value: number }[];
}

const WIDTH = 440;
const ROW_HEIGHT = 16;
const SMALL_OPACITY = 0.45;

/** The same group has the same label in every model, and no two groups share one. */
function labelsOf(points: readonly GroupPoint[]): ReadonlyMap<string, string> {
  const labels = new Map<string, string>();
  const taken = new Set<string>();
  for (const { group, count } of points) {
    if (labels.has(group)) continue;
    const label = `${shorten(group)} (n=${count})`;
    labels.set(group, taken.has(label) ? `${label} [${taken.size + 1}]` : label);
    taken.add(label);
  }
  return labels;
}

export function groupsSpec({ points, models, title, overall }: GroupsChartOptions): ChartSpec {
  const labels = labelsOf(points);
  const values = points.map((point) => ({ ...point, label: labels.get(point.group) }));
  const { color, shape } = modelScales(models);
  const legend = models.length > 1 ? LEGEND : null;
  const encoding = {
    y: {
      field: 'label',
      type: 'nominal',
      sort: null,
      axis: { title: null, grid: true, tickBand: 'extent', domain: false, ticks: false },
    },
    yOffset: { field: 'model', scale: { domain: color.domain, paddingOuter: 0.4 } },
    color: { field: 'model', scale: color, legend },
    opacity: { condition: { test: 'datum.isSmall', value: SMALL_OPACITY }, value: 1 },
  };
  return {
    width: WIDTH,
    height: { step: ROW_HEIGHT * Math.max(1.4, models.length + 0.2), for: 'position' },
    data: { values },
    layer: [
      {
        data: { values: overall },
        mark: { type: 'rule', strokeDash: [4, 4], opacity: 0.8 },
        encoding: { x: share('value'), color: { field: 'model', scale: color, legend } },
      },
      {
        mark: { type: 'rule', strokeWidth: 2 },
        encoding: {
          ...encoding,
          x: share('low', { title, format: '.0%', values: [0, 0.2, 0.4, 0.6, 0.8, 1] }),
          x2: { field: 'high' },
        },
      },
      {
        mark: { type: 'point', size: 55, opacity: 1, strokeWidth: 1.5 },
        encoding: {
          ...encoding,
          x: share('value'),
          shape: { field: 'model', scale: shape, legend },
          fill: {
            condition: { test: 'datum.isSmall', value: 'white' },
            field: 'model',
            type: 'nominal',
            scale: color,
            legend,
          },
        },
      },
    ],
  };
}
