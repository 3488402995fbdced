/** Shares by category as a radar: an axis a category, models in their colours, published ones as grey dashed lines. */
import { type ChartSpec, FAINT_INK, GRID, INK, LEGEND, modelScales, MORE_LEGEND } from './theme.js';

export interface RadarLine {
  readonly model: string;
  /** Of each category, in their order, 0 to 1; undefined: not known, and the line has a gap. */
  readonly values: readonly (number | undefined)[];
}

export interface RadarOptions {
  /** At least three. */
  readonly categories: readonly string[];
  readonly lines: readonly RadarLine[];
  /** Figures of others. */
  readonly published: readonly RadarLine[];
}

const SIZE = 300;
/** Of the centre's distance from the edge, in shares: names stand beyond 1. */
const REACH = 1.35;
const RINGS = [0.25, 0.5, 0.75, 1];
const DASHES = [[6, 3], [2, 3], [8, 3, 2, 3], [1, 4]]; // prettier-ignore

/** From the top, with the clock. */
const at = (place: number, count: number, radius: number): { x: number; y: number } => {
  const angle = (2 * Math.PI * place) / count;
  return { x: radius * Math.sin(angle), y: radius * Math.cos(angle) };
};

const axis = (field: 'x' | 'y'): object => ({
  field,
  type: 'quantitative',
  axis: null,
  scale: { domain: [-REACH, REACH] },
});
const PLACE = { x: axis('x'), y: axis('y') };
const ORDER = { field: 'order', type: 'quantitative' };

/** The corners of a line, the first one again at the end. */
function corners({ model, values }: RadarLine): object[] {
  const count = values.length;
  return [...values, values[0]].flatMap((value, order) =>
    value === undefined ? [] : [{ model, order, value, ...at(order, count, value) }],
  );
}

export function radarSpec({ categories, lines, published }: RadarOptions): ChartSpec {
  const count = categories.length;
  const rings = RINGS.flatMap((ring) =>
    Array.from({ length: count + 1 }, (_, order) => ({ ring, order, ...at(order, count, ring) })),
  );
  const spokes = categories.flatMap((name, place) =>
    [0, 1].map((radius) => ({ name, order: radius, ...at(place, count, radius) })),
  );
  const names = categories.map((name, place) => ({
    name: name.split('_'),
    ...at(place, count, 1.2),
  }));
  const scale = RINGS.map((ring) => ({ text: `${100 * ring} %`, x: 0.02, y: ring }));
  const models = lines.map(({ model }) => model);
  const others = published.map(({ model }) => model);
  const { color, shape } = modelScales(models);
  const ofModel = { field: 'model', type: 'nominal' };
  const thin = { strokeWidth: 1, color: GRID };
  return {
    width: SIZE,
    height: SIZE,
    resolve: { scale: { strokeDash: 'independent' } },
    layer: [
      {
        data: { values: rings },
        mark: { type: 'line', ...thin },
        encoding: { ...PLACE, order: ORDER, detail: { field: 'ring' } },
      },
      {
        data: { values: spokes },
        mark: { type: 'line', ...thin },
        encoding: { ...PLACE, order: ORDER, detail: { field: 'name' } },
      },
      {
        data: { values: scale },
        mark: { type: 'text', fontSize: 9, align: 'left', color: FAINT_INK },
        encoding: { ...PLACE, text: { field: 'text' } },
      },
      ...(others.length === 0
        ? []
        : [
            {
              data: { values: published.flatMap(corners) },
              mark: { type: 'line', color: FAINT_INK, strokeWidth: 1.2 },
              encoding: {
                ...PLACE,
                order: ORDER,
                strokeDash: {
                  ...ofModel,
                  scale: { domain: others, range: others.map((_, i) => DASHES[i % DASHES.length]) },
                  legend: { ...MORE_LEGEND, columns: 2 },
                },
              },
            },
          ]),
      {
        data: { values: lines.flatMap(corners) },
        mark: { type: 'line', strokeWidth: 2 },
        encoding: {
          ...PLACE,
          order: ORDER,
          color: { ...ofModel, scale: color, legend: LEGEND },
        },
      },
      {
        data: { values: lines.flatMap(corners) },
        mark: { type: 'point', filled: true, size: 40, opacity: 1 },
        encoding: {
          ...PLACE,
          color: { ...ofModel, scale: color, legend: LEGEND },
          shape: { ...ofModel, scale: shape, legend: LEGEND },
        },
      },
      {
        data: { values: names },
        mark: { type: 'text', fontSize: 11, color: INK, lineHeight: 12 },
        encoding: { ...PLACE, text: { field: 'name' } },
      },
    ],
  };
}
