/**
 * `training_loss.svg` and `.png`, `training_grad_norm.svg` and `.png`: the value of each step, pale, and its moving average, as
 * LLaMA-Factory draws and names them. Vega-Lite makes the SVG without a browser, sharp the PNG from it.
 */
import { join } from 'node:path';

import type { TopLevelSpec } from 'vega-lite';

import { createError } from '../../errors.js';
import { writeFileAtomic } from '../../files/index.js';
import { svgOf } from '../../packages/vega.js';
import { type CurvePoint, smooth, thin } from './curve-series.js';

/** Of each of the two curves; the plot is about 600 pixels wide. */
const MAX_POINTS_PER_CURVE = 1000;
/** matplotlib's default figure at 100 dots an inch; the PNG has twice as many pixels. */
const WIDTH = 640;
const HEIGHT = 480;
/** sharp takes 72 as one pixel a unit. */
const PNG_DENSITY = 144;

/** By their keys in `trainer_log.jsonl`. */
export type PlottedQuantity = 'loss' | 'grad_norm';
const AXIS_TITLES: Readonly<Record<PlottedQuantity, string>> = {
  loss: 'loss',
  grad_norm: 'norm of the gradients before clipping',
};

export interface RunPlotOptions {
  readonly folder: string;
  readonly quantity: PlottedQuantity;
  /** In the order of their steps, 1 to about 100,000; those that are not finite are not drawn. */
  readonly points: readonly CurvePoint[];
  /** Of data that are not learnt from. @default none */
  readonly validation?: readonly CurvePoint[];
  readonly title: string;
}

export interface RunPlotFiles {
  readonly svgPath: string;
  readonly pngPath: string;
}

function curves(
  points: readonly CurvePoint[],
  validation: readonly CurvePoint[],
): (CurvePoint & { readonly curve: string })[] {
  const finite = points.filter(({ value }) => Number.isFinite(value));
  if (finite.length === 0) {
    throw createError(
      'FACELLM_INVALID_ARGUMENT',
      `points: expected at least one finite value to plot, got ${points.length} point(s) and none`,
    );
  }
  const averages = smooth(finite.map(({ value }) => value));
  const smoothed = finite.map(({ step }, i) => ({ step, value: averages[i] ?? 0 }));
  return [
    ...thin(finite, MAX_POINTS_PER_CURVE).map((point) => ({ ...point, curve: 'original' })),
    ...thin(smoothed, MAX_POINTS_PER_CURVE).map((point) => ({ ...point, curve: 'smoothed' })),
    ...thin(
      validation.filter(({ value }) => Number.isFinite(value)),
      MAX_POINTS_PER_CURVE,
    ).map((point) => ({ ...point, curve: 'validation' })),
  ];
}

function specOf({ quantity, points, validation = [], title }: RunPlotOptions): TopLevelSpec {
  const values = curves(points, validation);
  const isValidated = values.some(({ curve }) => curve === 'validation');
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    width: WIDTH,
    height: HEIGHT,
    autosize: { type: 'fit', contains: 'padding' },
    background: 'white',
    title: { text: title, limit: WIDTH },
    data: { values },
    // One point a curve: a line through it has no length.
    mark: {
      type: 'line',
      strokeWidth: 1.5,
      point: values.length === 2 || isValidated,
      ...(isValidated ? {} : { color: '#1f77b4' }),
    },
    encoding: {
      x: {
        field: 'step',
        type: 'quantitative',
        title: 'step',
        scale: { zero: false, nice: false },
        axis: { format: ',d', tickMinStep: 1 },
      },
      y: {
        field: 'value',
        type: 'quantitative',
        title: AXIS_TITLES[quantity],
        scale: { zero: false },
      },
      ...(isValidated
        ? {
            color: {
              field: 'curve',
              type: 'nominal',
              scale: {
                domain: ['original', 'smoothed', 'validation'],
                range: ['#a5c8e1', '#1f77b4', '#d62728'],
              },
              legend: { title: null, orient: 'top-right' },
            },
          }
        : {
            opacity: {
              field: 'curve',
              type: 'ordinal',
              scale: { domain: ['original', 'smoothed'], range: [0.4, 1] },
              legend: { title: null, orient: 'top-right' },
            },
          }),
    },
  };
}

/**
 * Writes both files atomically into a folder that exists; blocks the event loop for a fraction of a
 * second. Text in the PNG needs a font on the machine (fontconfig), the SVG does not.
 *
 * @throws FaceLlmError FACELLM_RUN_WRITE; FACELLM_INVALID_ARGUMENT if no point is finite;
 * FACELLM_PACKAGE_MISSING without vega
 */
export async function writeRunPlot(options: RunPlotOptions): Promise<RunPlotFiles> {
  const { folder, quantity } = options;
  const svgPath = join(folder, `training_${quantity}.svg`);
  const pngPath = join(folder, `training_${quantity}.png`);
  const svg = await svgOf(specOf(options));
  await writeFileAtomic(svgPath, svg);
  const { default: sharp } = await import('sharp');
  const png = await sharp(Buffer.from(svg), { density: PNG_DENSITY }).png().toBuffer();
  await writeFileAtomic(pngPath, png);
  return { svgPath, pngPath };
}
