/** One figure of every group with its interval, models beside each other; small groups are pale and hollow. */
import {
  type ChartSpec,
  FAINT_INK,
  LEGEND,
  modelScales,
  MORE_LEGEND,
  share,
  shorten,
} from './theme.js';

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
  /** Figures of others, as published: marks without intervals. @default none */
  readonly published?:
    | {
        /** Whose, in their order. */
        readonly names: readonly string[];
        readonly values: readonly {
          readonly group: string;
          readonly name: string;
          readonly value: number;
        }[];
      }
    | undefined;
}

// Labels stand beside it; together they are to be read on a screen of 400 pixels.
const WIDTH = 280;
const LABEL = 30;
const ROW_HEIGHT = 16;
const SMALL_OPACITY = 0.45;

/** The same group has the same label in every model, and no two groups share one. */
function labelsOf(points: readonly GroupPoint[]): ReadonlyMap<string, string> {
  const labels = new Map<string, string>();
  const taken = new Set<string>();
  for (const { group, count } of points) {
    if (labels.has(group)) continue;
    const label = `${shorten(group, LABEL)} (n=${count})`;
    labels.set(group, taken.has(label) ? `${label} [${taken.size + 1}]` : label);
    taken.add(label);
  }
  return labels;
}

/** Marks of others' figures: grey, told apart by their shape. */
const PUBLISHED_SHAPES = ['triangle-up', 'square', 'cross', 'diamond'];

export function groupsSpec({
  points,
  models,
  title,
  overall,
  published = { names: [], values: [] },
}: GroupsChartOptions): ChartSpec {
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
  const marks = {
    data: {
      values: published.values.flatMap(({ group, name, value }) => {
        const label = labels.get(group);
        return label === undefined ? [] : [{ label, published: name, value }];
      }),
    },
    mark: { type: 'point', size: 45, color: FAINT_INK, strokeWidth: 1.2 },
    encoding: {
      y: encoding.y,
      x: share('value'),
      shape: {
        field: 'published',
        scale: { domain: published.names, range: PUBLISHED_SHAPES },
        legend: MORE_LEGEND,
      },
    },
  };
  // Two legends of shapes cannot stand for one scale.
  const hasMarks = published.names.length > 0;
  return {
    width: WIDTH,
    height: { step: ROW_HEIGHT * Math.max(1.4, models.length + 0.2), for: 'position' },
    data: { values },
    ...(hasMarks && { resolve: { scale: { shape: 'independent' } } }),
    layer: [
      ...(hasMarks ? [marks] : []),
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
          shape: { field: 'model', scale: shape, legend: hasMarks ? null : legend },
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
