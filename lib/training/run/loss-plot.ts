/**
 * `training_loss.svg` and `training_loss.png`: the loss of each step, pale, and its moving average, as
 * LLaMA-Factory draws them. Vega-Lite makes the SVG without a browser, sharp the PNG from it.
 */
import { join } from 'node:path';

import type { TopLevelSpec } from 'vega-lite';

import { createError } from '../../errors.js';
import { writeFileAtomic } from '../../files/index.js';
import { svgOf } from '../../packages/vega.js';
import { type LossPoint, smooth, thin } from './loss-series.js';

/** Of each of the two curves; the plot is about 600 pixels wide. */
const MAX_POINTS_PER_CURVE = 1000;
/** matplotlib's default figure at 100 dots an inch; the PNG has twice as many pixels. */
const WIDTH = 640;
const HEIGHT = 480;
/** sharp takes 72 as one pixel a unit. */
const PNG_DENSITY = 144;

export interface LossPlotOptions {
  readonly folder: string;
  /** In the order of their steps, 1 to about 100,000; those that are not finite are not drawn. */
  readonly points: readonly LossPoint[];
  /** Of data that are not learnt from. @default none */
  readonly validation?: readonly LossPoint[];
  readonly title: string;
}

export interface LossPlotFiles {
  readonly svgPath: string;
  readonly pngPath: string;
}

function curves(
  points: readonly LossPoint[],
  validation: readonly LossPoint[],
): (LossPoint & { readonly curve: string })[] {
  const finite = points.filter(({ loss }) => Number.isFinite(loss));
  if (finite.length === 0) {
    throw createError(
      'FACELLM_INVALID_ARGUMENT',
      `points: expected at least one finite loss to plot, got ${points.length} point(s) and none`,
    );
  }
  const averages = smooth(finite.map(({ loss }) => loss));
  const smoothed = finite.map(({ step }, i) => ({ step, loss: averages[i] ?? 0 }));
  return [
    ...thin(finite, MAX_POINTS_PER_CURVE).map((point) => ({ ...point, curve: 'original' })),
    ...thin(smoothed, MAX_POINTS_PER_CURVE).map((point) => ({ ...point, curve: 'smoothed' })),
    ...thin(
      validation.filter(({ loss }) => Number.isFinite(loss)),
      MAX_POINTS_PER_CURVE,
    ).map((point) => ({ ...point, curve: 'validation' })),
  ];
}

function specOf({ points, validation = [], title }: LossPlotOptions): TopLevelSpec {
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
      y: { field: 'loss', type: 'quantitative', title: 'loss', scale: { zero: false } },
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
export async function writeLossPlot(options: LossPlotOptions): Promise<LossPlotFiles> {
  const { folder } = options;
  const svgPath = join(folder, 'training_loss.svg');
  const pngPath = join(folder, 'training_loss.png');
  const svg = await svgOf(specOf(options));
  await writeFileAtomic(svgPath, svg);
  const { default: sharp } = await import('sharp');
  const png = await sharp(Buffer.from(svg), { density: PNG_DENSITY }).png().toBuffer();
  await writeFileAtomic(pngPath, png);
  return { svgPath, pngPath };
}
