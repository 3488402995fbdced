/** How scores of genuine and of impostor pairs are spread, one panel a model. */
import type { ScoredPair } from '../../metrics/roc.js';
import { type ChartSpec, LEGEND, number, share, shorten } from './theme.js';

export interface ScorePanel {
  readonly model: string;
  /** Scores from 0 to 1. */
  readonly pairs: readonly ScoredPair[];
}

const BINS = 20;
const WIDTH = 260;
const HEIGHT = 160;
const KINDS = ['same person', 'different people'];

function shares({ pairs }: ScorePanel): object[] {
  return KINDS.flatMap((kind, i) => {
    const scores = pairs.filter(({ isGenuine }) => isGenuine === (i === 0));
    const counts = new Array<number>(BINS).fill(0);
    for (const { score } of scores) {
      const bin = Math.min(BINS - 1, Math.floor(score * BINS));
      counts[bin] = (counts[bin] ?? 0) + 1;
    }
    return counts.map((count, bin) => ({
      kind,
      low: bin / BINS,
      high: (bin + 1) / BINS,
      share: scores.length === 0 ? 0 : count / scores.length,
    }));
  });
}

export function scoresSpecs(panels: readonly ScorePanel[]): readonly ChartSpec[] {
  return panels.map((panel) => ({
    title: shorten(panel.model, 24),
    width: WIDTH,
    height: HEIGHT,
    data: { values: shares(panel) },
    mark: { type: 'bar', opacity: 0.55, binSpacing: 0 },
    encoding: {
      x: share('low', { title: 'probability of "same person"', format: '.0%' }),
      x2: { field: 'high' },
      y: {
        ...number('share'),
        stack: null,
        axis: { title: 'share of pairs', format: '.0%' },
      },
      y2: { datum: 0 },
      color: {
        field: 'kind',
        type: 'nominal',
        scale: { domain: KINDS, range: ['#0072b2', '#e69f00'] },
        legend: LEGEND,
      },
    },
  }));
}
