/** ROC curves of several models on one logarithmic axis of false match rates, as biometrics draws them. */
import type { OperatingPoint } from '../../metrics/operating-points.js';
import type { Roc } from '../../metrics/roc.js';
import { type ChartSpec, LEGEND, modelScales, number, share } from './theme.js';

export interface RocCurve {
  readonly model: string;
  readonly roc: Roc;
  /** Marked on the curve. */
  readonly operatingPoints: readonly OperatingPoint[];
}

const WIDTH = 460;
const HEIGHT = 320;
/** Below it nothing is drawn, however many impostors there are. */
const LOWEST_FMR = 1e-4;
const MAX_POINTS = 500;

/** Keeps the ends and evenly spaced points between them: a curve of 460 pixels needs no more. */
function thin<T>(points: readonly T[]): readonly T[] {
  if (points.length <= MAX_POINTS) return points;
  const step = (points.length - 1) / (MAX_POINTS - 1);
  return Array.from({ length: MAX_POINTS }, (_, i) => points[Math.round(i * step)] as T);
}

export function rocSpec(curves: readonly RocCurve[]): ChartSpec {
  const impostors = Math.max(1, ...curves.map(({ roc }) => roc.impostor));
  // No rate between 0 and one false match exists; 0 itself stands at the left edge.
  const lowest = Math.min(0.1, Math.max(LOWEST_FMR, 1 / impostors));
  const at = (fmr: number): number => Math.max(fmr, lowest);
  const models = curves.map(({ model }) => model);
  const { color, shape } = modelScales(models);
  // Of the points at the left edge the last, highest one says it all.
  const shown = ({ points }: Roc): Roc['points'] =>
    points.filter(({ fmr }, i) => fmr > 0 || (points[i + 1]?.fmr ?? 1) > 0);
  const values = curves.flatMap(({ model, roc }) =>
    thin(shown(roc)).map(({ fmr, tmr }, order) => ({ model, order, fmr: at(fmr), tmr })),
  );
  const marks = curves.flatMap(({ model, operatingPoints }) =>
    operatingPoints.map(({ maxFmr, tmr }) => ({ model, fmr: at(maxFmr), tmr })),
  );
  const guess = Array.from({ length: 60 }, (_, i) => {
    const fmr = lowest ** (1 - i / 59);
    return { fmr, tmr: fmr };
  });
  const encoding = {
    x: {
      ...number('fmr'),
      scale: { type: 'log', domain: [lowest, 1], nice: false },
      axis: { title: 'false match rate (logarithmic)', format: '~%', tickCount: 5 },
    },
    y: share('tmr', { title: 'true match rate', format: '.0%' }),
    color: { field: 'model', type: 'nominal', scale: color, legend: LEGEND },
  };
  return {
    width: WIDTH,
    height: HEIGHT,
    layer: [
      {
        data: { values: guess },
        mark: { type: 'line', strokeDash: [4, 4], strokeWidth: 1, color: '#626b76' },
        encoding: { x: encoding.x, y: encoding.y },
      },
      {
        data: { values },
        mark: { type: 'line', interpolate: 'step-after', strokeWidth: 2, clip: true },
        encoding: { ...encoding, order: { field: 'order' } },
      },
      {
        data: { values: marks },
        mark: { type: 'point', filled: true, size: 70, opacity: 1 },
        encoding: {
          ...encoding,
          shape: { field: 'model', type: 'nominal', scale: shape, legend: LEGEND },
        },
      },
    ],
  };
}
