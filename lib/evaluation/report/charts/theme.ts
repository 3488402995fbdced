/** The look of all plots: colours that stay apart for every kind of colour vision (Okabe and Ito, 2008), with shapes. */
import type { Config } from 'vega-lite';

/** A Vega-Lite specification. Not its own type: it is an optional peer, and our declarations have to compile without it. */
export type ChartSpec = object;

/** Of models, in their order; the first is that which others are compared with. */
const MODEL_COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#8c6d00'];
const MODEL_SHAPES = ['circle', 'diamond', 'square', 'triangle-up', 'cross', 'triangle-down'];

export const INK = '#1b1f24';
/** Readable on white (contrast 5.4), for what must not draw the eye. */
export const FAINT_INK = '#626b76';
export const GRID = '#e4e8ec';

function cycle(values: readonly string[], count: number): string[] {
  return Array.from({ length: count }, (_, i) => values[i % values.length] ?? INK);
}

export interface Scale {
  readonly domain: string[];
  readonly range: string[];
}

/** One colour and one shape a model, the same in every plot. */
export function modelScales(models: readonly string[]): Record<'color' | 'shape', Scale> {
  const domain = [...models];
  return {
    color: { domain, range: cycle(MODEL_COLOURS, models.length) },
    shape: { domain, range: cycle(MODEL_SHAPES, models.length) },
  };
}

/** Of a plot whose colours name themselves: over it, without a title. */
export const LEGEND = { title: null, orient: 'top' };

/** Of marks beside the models': under the plot, in few columns, so that it makes no plot wider. */
export const MORE_LEGEND = { title: null, orient: 'bottom', columns: 3 };

/** A number, on the axis of its plot. */
export function number(field: string): object {
  return { field, type: 'quantitative' };
}

/** A share on an axis from 0 to 1. */
export function share(field: string, axis?: object | null): object {
  const scale = { domain: [0, 1] };
  return { field, type: 'quantitative', scale, ...(axis !== undefined && { axis }) };
}

// Declared as any object: see ChartSpec.
export const THEME: object = {
  background: 'white',
  font: 'system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif',
  axis: {
    labelColor: INK,
    titleColor: INK,
    labelFontSize: 12,
    titleFontSize: 12,
    titleFontWeight: 'normal',
    gridColor: GRID,
    domainColor: FAINT_INK,
    tickColor: FAINT_INK,
    // Without a limit: we cut long names, and Vega, which guesses widths, would cut away what tells them apart.
    labelLimit: 0,
  },
  legend: {
    labelColor: INK,
    titleColor: INK,
    labelFontSize: 12,
    titleFontSize: 12,
    labelLimit: 300,
  },
  title: { color: INK, fontSize: 13, fontWeight: 'bold', anchor: 'start', limit: 600 },
  header: { labelColor: INK, titleColor: INK, labelFontSize: 12 },
  view: { stroke: null },
} satisfies Config;

/** A name that fits beside an axis. */
export function shorten(text: string, length = 48): string {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}
