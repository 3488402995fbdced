/** How far a run is, on a stream for people: a line redrawn on a terminal, a line now and then elsewhere. */
import type { EvaluationEvent } from './events.js';

const REDRAW_MS = 100;

export interface EvaluationProgressOptions {
  readonly stream: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
  /** Between two lines where the stream is no terminal. @default 30 */
  readonly intervalSeconds?: number;
  /** Milliseconds of a clock that never goes back; for tests. */
  readonly now?: () => number;
}

/** `1:02:03`, hours without limit. */
function clock(seconds: number): string {
  const [minutes, hours] = [Math.floor(seconds / 60), Math.floor(seconds / 3600)];
  const two = (n: number): string => String(Math.floor(n % 60)).padStart(2, '0');
  return `${hours}:${two(minutes)}:${two(seconds)}`;
}

function shown(value: unknown): string {
  const text = typeof value === 'string' && value !== '' ? value : JSON.stringify(value);
  return text === '{}' ? "the checkpoint's own" : text;
}

export class EvaluationProgress {
  readonly #stream: EvaluationProgressOptions['stream'];
  readonly #intervalMs: number;
  readonly #now: () => number;
  /** When the model's turn began, and how much was done then. */
  #startedAt = 0;
  #doneBefore = 0;
  #shownAt = -Infinity;
  #isLineOpen = false;

  constructor({
    stream,
    intervalSeconds = 30,
    now = () => performance.now(),
  }: EvaluationProgressOptions) {
    this.#stream = stream;
    this.#intervalMs = stream.isTTY ? REDRAW_MS : intervalSeconds * 1000;
    this.#now = now;
  }

  update(event: EvaluationEvent): void {
    if (event.type === 'asking') {
      const form = Object.entries(event.form).map(([key, value]) => `${key} ${shown(value)}`);
      const by = event.recordedBy.join(' and ');
      const as = by === '' ? '' : `, as ${by} was trained where the options leave it open`;
      this.note(`asked with ${form.join(', ')}${as}`);
    }
    if (event.type === 'start') {
      this.#startedAt = this.#now();
      this.#doneBefore = event.done;
      this.#shownAt = -Infinity;
      const before = event.done > 0 ? `, ${event.done} of them answered before` : '';
      const device = event.device === undefined ? '' : ` on ${event.device}`;
      this.note(`${event.model}: ${event.total} questions${before}${device}`);
    }
    if (event.type === 'batch') {
      const isLast = event.done + event.failures >= event.total;
      if (isLast || this.#now() - this.#shownAt >= this.#intervalMs) this.#show(event);
    }
    if (event.type === 'warning') {
      this.note([`${event.model}: ${event.message}`, ...event.details].join('\n  - '));
    }
    if (event.type === 'report') this.note(`all answers are there: writing ${event.folder}`);
  }

  /** A line of its own, below the one that is redrawn. */
  note(text: string): void {
    this.finish();
    this.#stream.write(`${text}\n`);
  }

  /** Leaves the line to whatever is printed next. */
  finish(): void {
    if (this.#isLineOpen) this.#stream.write('\n');
    this.#isLineOpen = false;
  }

  #show({ model, done, total, failures }: EvaluationEvent & { readonly type: 'batch' }): void {
    this.#shownAt = this.#now();
    const seconds = (this.#now() - this.#startedAt) / 1000;
    const asked = done + failures - this.#doneBefore;
    const perSecond = seconds > 0 ? asked / seconds : 0;
    const left = perSecond > 0 ? (total - done - failures) / perSecond : undefined;
    const text = [
      `${model}: ${done}/${total} (${((100 * done) / total).toFixed(1)} %)`,
      ...(failures > 0 ? [`${failures} failed`] : []),
      `${perSecond.toPrecision(3)} questions/s`,
      `${clock(seconds)} elapsed`,
      `${left === undefined ? '-:--:--' : clock(Math.ceil(left))} left`,
    ].join('  ');
    // A line that wraps cannot be redrawn.
    const width = (this.#stream.columns ?? 0) > 1 ? (this.#stream.columns ?? 0) - 1 : text.length;
    this.#isLineOpen = this.#stream.isTTY === true;
    this.#stream.write(this.#stream.isTTY ? `\r\x1b[K${text.slice(0, width)}` : `${text}\n`);
  }
}
