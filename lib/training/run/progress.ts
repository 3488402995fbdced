/** How far a training run is, on a stream for people. */
import {
  formatDuration,
  formatLeft,
  StatusLine,
  type StatusLineOptions,
} from '../../progress/index.js';
import type { StepRecord } from './step-record.js';

/** Steps whose pace tells the time left: enough to even out, few enough to follow a change. */
const WINDOW_STEPS = 20;

export interface ProgressSnapshot extends Omit<StepRecord, 'gradNorm' | 'totalTokens'> {
  /** Undefined until it can be estimated. */
  readonly secondsLeft: number | undefined;
}

export type ProgressOptions = StatusLineOptions;

function perSecond(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en-US');
  return value.toPrecision(3);
}

/**
 * One line such as `step 12/1096 (1.1 %)  epoch 0.01  loss 1.2346  lr 9.50e-6  12.3 samples/s
 * 4,321 tokens/s  peak 21.3 GiB  0:01:23 elapsed  1:02:03 left`.
 */
export function formatProgress(snapshot: ProgressSnapshot): string {
  const { step, totalSteps, epoch, loss, peakBytes, secondsLeft, computedShare } = snapshot;
  const percent = totalSteps === 0 ? 100 : (100 * step) / totalSteps;
  return [
    `step ${step}/${totalSteps} (${percent.toFixed(1)} %)`,
    `epoch ${epoch.toFixed(2)}`,
    `loss ${loss.toFixed(4)}`,
    `lr ${snapshot.learningRate.toExponential(2)}`,
    `${perSecond(snapshot.samplesPerSecond)} samples/s`,
    `${perSecond(snapshot.tokensPerSecond)} tokens/s`,
    ...(computedShare < 1 ? [`${(100 * computedShare).toFixed(0)} % of them computed`] : []),
    ...(peakBytes > 0 ? [`peak ${(peakBytes / 1024 ** 3).toFixed(1)} GiB`] : []),
    `${formatDuration(snapshot.elapsedSeconds)} elapsed`,
    formatLeft(secondsLeft),
  ].join('  ');
}

export class TrainingProgress {
  readonly #line: StatusLine;
  #window: StepRecord[] = [];
  #shownStep: number | undefined;

  constructor(options: ProgressOptions) {
    this.#line = new StatusLine(options);
  }

  /** Questions that the start model has scored, before the first step. */
  scored(done: number, total: number): void {
    if (done < total && !this.#line.isDue) return;
    this.#line.show(`answers under the start model: ${done}/${total} questions`);
    if (done === total) this.#line.finish();
  }

  /** Notes a step, and shows it if the last line is old enough. Call it after every step. */
  update(record: StepRecord): void {
    this.#window = [...this.#window, record].slice(-(WINDOW_STEPS + 1));
    if (this.#line.isDue) this.#show(record);
  }

  /** Shows the last step, if it is not shown yet, and leaves the line to whatever is printed next. */
  finish(): void {
    const last = this.#window.at(-1);
    if (last === undefined) return;
    if (this.#shownStep !== last.step) this.#show(last);
    this.#line.finish();
    this.#window = [];
  }

  /** A line of its own, above the one that is redrawn. */
  note(text: string): void {
    this.#line.note(text);
  }

  #show(record: StepRecord): void {
    this.#shownStep = record.step;
    this.#line.show(formatProgress({ ...record, secondsLeft: this.#secondsLeft(record) }));
  }

  /** From the pace between the ends of the window: a first step, with its warm-up, tells nothing. */
  #secondsLeft(record: StepRecord): number | undefined {
    const stepsLeft = record.totalSteps - record.step;
    if (stepsLeft <= 0) return 0;
    const first = this.#window[0];
    if (first === undefined || first.step >= record.step) return undefined;
    const seconds = record.elapsedSeconds - first.elapsedSeconds;
    return (stepsLeft * seconds) / (record.step - first.step);
  }
}
