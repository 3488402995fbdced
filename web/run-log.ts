/** The log of a run as the server tells it, kept while other parts of the page are looked at; and what curves are made of it. */
import { useEffect, useReducer } from 'preact/hooks';

import { ApiError, follow, runAddress } from './api.js';

const AGAIN_MS = 2000;

export interface Group {
  readonly fact: string;
  readonly value: string;
  readonly samples: number;
  readonly loss: number;
  readonly accuracy?: number;
}

/** What of a line of `trainer_log.jsonl` is shown; logs of other tools have fewer of these. */
export interface LogRecord {
  readonly current_steps: number;
  readonly total_steps: number;
  readonly loss?: number;
  readonly lr?: number;
  /** Before clipping. */
  readonly grad_norm?: number;
  readonly percentage?: number;
  readonly elapsed_time?: string;
  readonly remaining_time?: string;
  readonly throughput?: number;
  readonly total_tokens?: number;
  readonly eval_loss?: number;
  readonly eval_accuracy?: number;
  readonly eval_balanced_accuracy?: number;
  readonly eval_worst_group?: Group;
  readonly eval_groups?: readonly Group[];
  readonly eval_own?: Readonly<Record<string, number>>;
  readonly eval_is_best?: boolean;
}

export interface RunLog {
  readonly id: string;
  records: LogRecord[];
  position: string;
  state: 'asked' | 'live' | 'lost' | 'gone' | 'failed';
  /** Whether it was begun anew, or cut, while it was watched. */
  wasCut: boolean;
  /** Of the last record, by this machine's clock. */
  writtenAt: number;
  error: unknown;
}

type Told = { readonly records?: readonly LogRecord[]; readonly age_ms?: number };

let kept: RunLog | undefined;

function logOf(id: string): RunLog {
  if (kept?.id !== id) {
    const nothing = { records: [], position: '', wasCut: false, writtenAt: 0, error: undefined };
    kept = { id, state: 'asked', ...nothing };
  }
  return kept;
}

async function watch(log: RunLog, signal: AbortSignal, redraw: () => void): Promise<void> {
  const address = runAddress(log.id, 'events');
  for (;;) {
    try {
      for await (const { id, name, value } of follow<Told>(address, log.position, signal)) {
        log.error = undefined;
        log.state = name === 'gone' ? 'gone' : 'live';
        // Drawn when all of it is there.
        if (name === 'restart') {
          log.records = [];
          log.position = '';
          log.wasCut = true;
          continue;
        }
        if (name === 'records') {
          // Of thousands, too: no spread into arguments.
          log.records = log.records.concat(value.records ?? []);
          log.position = id;
          continue;
        }
        if (value.age_ms !== undefined) log.writtenAt = Date.now() - value.age_ms;
        redraw();
        if (name === 'gone') return;
      }
      log.state = 'lost';
    } catch (error) {
      if (signal.aborted) return;
      const code = error instanceof ApiError ? error.failure.code : undefined;
      log.state = code === undefined ? 'lost' : code === 'run_not_found' ? 'gone' : 'failed';
      log.error = log.state === 'failed' ? error : undefined;
    }
    if (signal.aborted) return;
    redraw();
    if (log.state === 'gone') return;
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    if (signal.aborted) return;
  }
}

/** Watches for as long as the component is there; draws it again with each piece of news, and every second. */
export function useRunLog(id: string): RunLog {
  const [, redraw] = useReducer<number, undefined>((count) => count + 1, 0);
  const log = logOf(id);
  useEffect(() => {
    const stop = new AbortController();
    const draw = (): void => redraw(undefined);
    void watch(log, stop.signal, draw);
    const timer = setInterval(draw, 1000);
    return () => {
      stop.abort();
      clearInterval(timer);
    };
  }, [id]);
  return log;
}

/** What has a value at some updates. */
export const MEASURES = {
  loss: ({ loss }) => loss,
  rate: ({ lr }) => lr,
  gradient: ({ grad_norm }) => grad_norm,
  evalLoss: ({ eval_loss }) => eval_loss,
  accuracy: ({ eval_accuracy }) => eval_accuracy,
  balanced: ({ eval_balanced_accuracy }) => eval_balanced_accuracy,
  worst: ({ eval_worst_group }) => eval_worst_group?.accuracy,
} satisfies Readonly<Record<string, (record: LogRecord) => unknown>>;
export type Measure = keyof typeof MEASURES;

export interface Curves extends Readonly<Record<Measure, (number | null)[]>> {
  readonly steps: number[];
}

/** One row an update, in order; where a log goes back, what it had of later updates is dropped. */
export function curvesOf(records: readonly LogRecord[]): Curves {
  const curves: Curves = {
    ...{ steps: [], loss: [], rate: [], gradient: [], evalLoss: [] },
    ...{ accuracy: [], balanced: [], worst: [] },
  };
  const names = Object.keys(MEASURES) as Measure[];
  const { steps } = curves;
  for (const record of records) {
    const step = record.current_steps;
    if (typeof step !== 'number') continue;
    while ((steps.at(-1) ?? -1) > step) {
      steps.pop();
      for (const name of names) curves[name].pop();
    }
    if (steps.at(-1) !== step) {
      steps.push(step);
      for (const name of names) curves[name].push(null);
    }
    for (const name of names) {
      const value: unknown = MEASURES[name](record);
      if (typeof value === 'number') curves[name][steps.length - 1] = value;
    }
  }
  return curves;
}

/** Exponential moving average; `weight` of the past, 0 for none. */
export function smoothed(values: readonly (number | null)[], weight: number): (number | null)[] {
  let last: number | undefined;
  return values.map((value) => {
    if (value === null) return null;
    last = last === undefined ? value : weight * last + (1 - weight) * value;
    return last;
  });
}
