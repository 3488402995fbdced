/** One row of the GPU proof: ours, and where there is one the baseline's, run alternately; a line of JSON for scripts/gpu-proof. */
import { bootstrap, type Interval, median } from '../harness/statistics.js';
import type { Work } from './counts.js';

/** A line of a measuring process that is a row begins so. */
const MARK = 'ROW ';
const LEAST_PAIRS = 3;
const MOST_PAIRS = 15;

export interface GpuRow {
  readonly name: string;
  readonly ms: number;
  readonly runs: number;
  /** What a run must do at least, and so what share of the card's roofs it reached. */
  readonly work?: Work;
  readonly perSecond?: { readonly count: number; readonly unit: string };
  readonly peakBytes?: number;
  readonly beside?: { readonly name: string; readonly ms: number; readonly ratio: Interval };
}

export interface RowPlan {
  readonly name: string;
  readonly work?: Work;
  /** How many of `unit` a run gives. */
  readonly gives?: { readonly count: number; readonly unit: string };
  /** Milliseconds of one run. */
  readonly run: () => Promise<number>;
  readonly baseline?: (() => Promise<number>) | undefined;
}

export function printRow(row: GpuRow): void {
  console.log(`${MARK}${JSON.stringify(row)}`);
}

/** Runs for about so many seconds after a warm-up of each side. */
export async function measureRow(plan: RowPlan, seconds: number): Promise<GpuRow> {
  await plan.run();
  await plan.baseline?.();
  const end = performance.now() + 1000 * seconds;
  const ours: number[] = [];
  const theirs: number[] = [];
  while (ours.length < LEAST_PAIRS || (ours.length < MOST_PAIRS && performance.now() < end)) {
    const isSecond = ours.length % 2 === 1;
    if (isSecond && plan.baseline) theirs.push(await plan.baseline());
    ours.push(await plan.run());
    if (!isSecond && plan.baseline) theirs.push(await plan.baseline());
  }
  const { name, work, gives } = plan;
  const ms = median(ours);
  return {
    ...{ name, ms, runs: ours.length },
    ...(work && { work }),
    ...(gives && { perSecond: { count: (1000 * gives.count) / ms, unit: gives.unit } }),
    ...(plan.baseline && {
      beside: {
        ...{ name: 'transformers', ms: median(theirs) },
        ratio: bootstrap(ours.map((own, i) => (theirs[i] ?? NaN) / own)),
      },
    }),
  };
}
