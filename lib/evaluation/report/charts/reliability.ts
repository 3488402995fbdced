/** Reliability diagrams, each over a histogram of its confidences. */
import type { ReliabilityBin } from '../../metrics/calibration.js';
import { wilsonInterval } from '../../metrics/wilson.js';
import { type ChartSpec, FAINT_INK, INK, modelScales, number, share, shorten } from './theme.js';

export interface ReliabilityPanel {
  readonly model: string;
  /** Expected calibration error, shown in the panel's title. */
  readonly ece: number | undefined;
  readonly bins: readonly ReliabilityBin[];
}

const SIZE = 230;
const HISTOGRAM_HEIGHT = 60;

function panel({ model, ece, bins }: ReliabilityPanel, color: string): ChartSpec {
  const values = bins.flatMap(({ low, high, count, correct, accuracy, meanConfidence }) => {
    if (count === 0) return [];
    const interval = wilsonInterval(correct, count);
    const ends = { lowest: interval.low, highest: interval.high };
    return [{ low, high, count, accuracy, meanConfidence, ...ends }];
  });
  const diagonal = [0, 1].map((at) => ({ at, accuracy: at }));
  const ticks = { values: [0, 0.2, 0.4, 0.6, 0.8, 1], format: '.0%' };
  const counts = { tickCount: 3, format: 'd', tickMinStep: 1 };
  const calibration = ece === undefined ? '' : `, ECE ${ece.toFixed(3)}`;
  return {
    spacing: 8,
    title: `${shorten(model, 24)}${calibration}`,
    vconcat: [
      {
        width: SIZE,
        height: SIZE,
        data: { values },
        layer: [
          {
            mark: { type: 'bar', color, opacity: 0.45, stroke: color, strokeWidth: 1 },
            encoding: {
              x: share('low', { values: ticks.values, labels: false, title: null }),
              x2: { field: 'high' },
              y: share('accuracy', { ...ticks, title: 'accuracy' }),
              y2: { datum: 0 },
            },
          },
          {
            data: { values: diagonal },
            mark: { type: 'line', color: INK, strokeDash: [5, 4], strokeWidth: 1 },
            encoding: { x: share('at'), y: number('accuracy') },
          },
          {
            mark: { type: 'rule', color: INK },
            encoding: {
              x: share('meanConfidence'),
              y: number('lowest'),
              y2: { field: 'highest' },
            },
          },
          {
            mark: { type: 'point', filled: true, color: INK, size: 36, opacity: 1 },
            encoding: { x: share('meanConfidence'), y: number('accuracy') },
          },
        ],
      },
      {
        width: SIZE,
        height: HISTOGRAM_HEIGHT,
        data: { values },
        layer: [
          {
            mark: { type: 'bar', color: FAINT_INK, opacity: 0.6 },
            encoding: {
              x: share('low', { ...ticks, title: 'confidence' }),
              x2: { field: 'high' },
              y: { ...number('count'), axis: { ...counts, title: 'n' } },
              y2: { datum: 0 },
            },
          },
          {
            transform: [{ calculate: '(datum.low + datum.high) / 2', as: 'middle' }],
            mark: { type: 'text', dy: -6, fontSize: 10, color: INK },
            encoding: { x: share('middle'), y: number('count'), text: { field: 'count' } },
          },
        ],
      },
    ],
  };
}

/** One plot a model. Bars and points: share right of each bin, points at its mean confidence with Wilson intervals. */
export function reliabilitySpecs(panels: readonly ReliabilityPanel[]): readonly ChartSpec[] {
  const { range } = modelScales(panels.map(({ model }) => model)).color;
  return panels.map((one, i) => panel(one, range[i] ?? INK));
}
