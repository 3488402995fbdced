/** How far an evaluation is, on a stream for people. */
import {
  formatDuration,
  formatLeft,
  StatusLine,
  type StatusLineOptions,
} from '../../progress/index.js';
import type { EvaluationEvent } from './events.js';

function shown(value: unknown): string {
  const text = typeof value === 'string' && value !== '' ? value : JSON.stringify(value);
  return text === '{}' ? "the checkpoint's own" : text;
}

export class EvaluationProgress {
  readonly #line: StatusLine;
  readonly #now: () => number;
  /** When the model's turn began, and how much was done then. */
  #startedAt = 0;
  #doneBefore = 0;

  constructor(options: StatusLineOptions) {
    this.#line = new StatusLine(options);
    this.#now = options.now ?? (() => performance.now());
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
      this.#line.restart();
      const before = event.done > 0 ? `, ${event.done} of them answered before` : '';
      const device = event.device === undefined ? '' : ` on ${event.device}`;
      this.note(`${event.model}: ${event.total} questions${before}${device}`);
    }
    if (event.type === 'batch') {
      const isLast = event.done + event.failures >= event.total;
      if (isLast || this.#line.isDue) this.#show(event);
    }
    if (event.type === 'warning') {
      this.note([`${event.model}: ${event.message}`, ...event.details].join('\n  - '));
    }
    if (event.type === 'report') this.note(`all answers are there: writing ${event.folder}`);
  }

  /** A line of its own, below the one that is redrawn. */
  note(text: string): void {
    this.#line.finish();
    this.#line.note(text);
  }

  /** Leaves the line to whatever is printed next. */
  finish(): void {
    this.#line.finish();
  }

  #show({ model, done, total, failures }: EvaluationEvent & { readonly type: 'batch' }): void {
    const seconds = (this.#now() - this.#startedAt) / 1000;
    const asked = done + failures - this.#doneBefore;
    const perSecond = seconds > 0 ? asked / seconds : 0;
    const left = perSecond > 0 ? (total - done - failures) / perSecond : undefined;
    const parts = [
      `${model}: ${done}/${total} (${((100 * done) / total).toFixed(1)} %)`,
      ...(failures > 0 ? [`${failures} failed`] : []),
      `${perSecond.toPrecision(3)} questions/s`,
      `${formatDuration(seconds)} elapsed`,
      formatLeft(left),
    ];
    this.#line.show(parts.join('  '));
  }
}
