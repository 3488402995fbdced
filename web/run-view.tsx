/** One run: how far it is, its curves, and the same as numbers. */
import { useMemo, useState } from 'preact/hooks';

import { percent } from './bars.js';
import { Chart, type Curve, short } from './chart.js';
import { Failure } from './failure.js';
import { RunCheckpoints } from './run-checkpoints.js';
import {
  type Curves,
  curvesOf,
  type LogRecord,
  type RunLog,
  smoothed,
  useRunLog,
} from './run-log.js';
import { span } from './span.js';

const GROUP = 'run';

/** The last record that has it. */
function lastWith<K extends keyof LogRecord>(
  records: readonly LogRecord[],
  key: K,
): (LogRecord & Required<Pick<LogRecord, K>>) | undefined {
  return records.findLast((record) => record[key] !== undefined) as
    (LogRecord & Required<Pick<LogRecord, K>>) | undefined;
}

/** Where it stands, without what changes every second. */
function stateOf({ state, records, wasCut }: RunLog, isDone: boolean): string {
  if (state === 'gone') return 'The log of this run is gone: its folder was deleted or moved.';
  if (state === 'lost') return 'No connection to the server; trying again.';
  if (state === 'asked') return 'Reading the log.';
  if (isDone) return 'All updates are done.';
  if (records.length === 0) return 'The run has begun; there is no record yet.';
  return wasCut ? 'The run has gone on from a checkpoint, or begun anew.' : 'In training.';
}

function Progress({ log }: { readonly log: RunLog }) {
  const last = log.records.at(-1);
  const timed = lastWith(log.records, 'elapsed_time');
  const speed = lastWith(log.records, 'throughput');
  const isDone = last !== undefined && last.current_steps >= last.total_steps;
  const silent = (Date.now() - log.writtenAt) / 1000;
  return (
    <>
      <p class="state" role="status">
        {stateOf(log, isDone)}
      </p>
      {last !== undefined && (
        <>
          <progress max={last.total_steps} value={last.current_steps} aria-label="Updates done" />
          <p class="facts" id="run-facts">
            {[
              `update ${last.current_steps} of ${last.total_steps}`,
              percent(last.total_steps === 0 ? 1 : last.current_steps / last.total_steps),
              ...(timed === undefined ? [] : [`${timed.elapsed_time} gone`]),
              ...(isDone || timed?.remaining_time === undefined
                ? []
                : [`${timed.remaining_time} left`]),
              ...(speed === undefined ? [] : [`${Math.round(speed.throughput)} tokens/s`]),
              `last record ${span(silent)} ago`,
            ].join(' · ')}
          </p>
        </>
      )}
    </>
  );
}

interface Row {
  readonly name: string;
  readonly values: readonly (number | null)[];
  readonly show: (value: number) => string;
  readonly best?: (a: number, b: number) => number;
}

/** What the curves end with, for whoever does not see them. */
function LastValues({
  curves,
  records,
}: {
  readonly curves: Curves;
  readonly records: LogRecord[];
}) {
  const worst = lastWith(records, 'eval_worst_group')?.eval_worst_group;
  const own = lastWith(records, 'eval_own');
  const rows: readonly Row[] = [
    { name: 'Training loss', values: curves.loss, show: short, best: Math.min },
    { name: 'Validation loss', values: curves.evalLoss, show: short, best: Math.min },
    { name: 'Accuracy', values: curves.accuracy, show: percent, best: Math.max },
    { name: 'Balanced accuracy', values: curves.balanced, show: percent, best: Math.max },
    {
      name: `Worst group${worst === undefined ? '' : `, now ${worst.fact} ${worst.value}`}`,
      ...{ values: curves.worst, show: percent, best: Math.max },
    },
    { name: 'Learning rate', values: curves.rate, show: short },
    { name: 'Norm of gradients', values: curves.gradient, show: short },
  ];
  return (
    <table class="values">
      <caption>Last values</caption>
      <thead>
        <tr>
          <th scope="col">what</th>
          <th scope="col">last</th>
          <th scope="col">at update</th>
          <th scope="col">best</th>
        </tr>
      </thead>
      <tbody>
        {rows.map(({ name, values, show, best }) => {
          const at = values.findLastIndex((value) => value !== null);
          const last = values[at];
          if (last === undefined || last === null) return null;
          const all = values.filter((value) => value !== null);
          return (
            <tr>
              <th scope="row">{name}</th>
              <td class="number">{show(last)}</td>
              <td class="number">{curves.steps[at]}</td>
              <td class="number">
                {best === undefined ? '' : show(all.reduce((a, b) => best(a, b)))}
              </td>
            </tr>
          );
        })}
        {Object.entries(own?.eval_own ?? {}).map(([name, value]) => (
          <tr>
            <th scope="row">{name}</th>
            <td class="number">{short(value)}</td>
            <td class="number">{own?.current_steps}</td>
            <td />
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Groups({ records }: { readonly records: readonly LogRecord[] }) {
  const last = lastWith(records, 'eval_groups');
  const worst = last?.eval_worst_group;
  if (last === undefined) return null;
  return (
    <details>
      <summary>Groups at update {last.current_steps}</summary>
      <table class="values">
        <thead>
          <tr>
            <th scope="col">group</th>
            <th scope="col">samples</th>
            <th scope="col">accuracy</th>
            <th scope="col">loss</th>
          </tr>
        </thead>
        <tbody>
          {last.eval_groups.map(({ fact, value, samples, accuracy, loss }) => {
            const isWorst = fact === worst?.fact && value === worst.value;
            return (
              <tr class={isWorst ? 'worst' : ''}>
                <th scope="row">
                  {fact} {value}
                  {isWorst && ' (worst)'}
                </th>
                <td class="number">{samples}</td>
                <td class="number">{accuracy === undefined ? '' : percent(accuracy)}</td>
                <td class="number">{short(loss)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </details>
  );
}

const hasAny = (values: readonly (number | null)[]): boolean =>
  values.some((value) => value !== null);

export function RunView({ id }: { readonly id: string }) {
  const log = useRunLog(id);
  const [weight, setWeight] = useState(0.6);
  const [isLog, setLog] = useState(false);
  const { records } = log;
  const curves = useMemo(() => curvesOf(records), [records]);
  const [losses, shares] = useMemo((): [Curve[], Curve[]] => {
    const { loss, evalLoss, accuracy, balanced, worst } = curves;
    const all: readonly (readonly [list: number, curve: Curve])[] = [
      [0, { name: 'training', values: loss, look: 'faint' }],
      [0, { name: 'training, smoothed', values: smoothed(loss, weight), look: 'first' }],
      [0, { name: 'validation', values: evalLoss, look: 'second', hasPoints: true }],
      [1, { name: 'accuracy', values: accuracy, look: 'first', hasPoints: true }],
      [1, { name: 'balanced', values: balanced, look: 'third', hasPoints: true, isDashed: true }],
      [1, { name: 'worst group', values: worst, look: 'second', hasPoints: true, isDashed: true }],
    ];
    const of = (list: number): Curve[] =>
      all.flatMap(([place, curve]) => (place === list && hasAny(curve.values) ? [curve] : []));
    return [of(0), of(1)];
  }, [curves, weight]);
  const [rates, gradients] = useMemo((): [Curve[], Curve[]] => {
    const { rate, gradient } = curves;
    return [
      [{ name: 'learning rate', values: rate, look: 'first' }],
      [
        { name: 'norm', values: gradient, look: 'faint' },
        { name: 'norm, smoothed', values: smoothed(gradient, weight), look: 'first' },
      ],
    ];
  }, [curves, weight]);
  const { steps } = curves;
  const told = 'the last values are in the table';
  return (
    <article aria-label={`Run ${id}`}>
      <h2>{id}</h2>
      <Progress log={log} />
      <Failure error={log.error} />
      {steps.length > 0 && (
        <>
          <label class="inline">
            Smoothing
            <input
              type="range"
              min={0}
              max={0.98}
              step={0.02}
              value={weight}
              onInput={({ currentTarget: { value } }) => setWeight(Number(value))}
            />
            <b>{weight}</b>
          </label>
          <label class="inline">
            <input
              type="checkbox"
              checked={isLog}
              onChange={({ currentTarget: { checked } }) => setLog(checked)}
            />
            Logarithmic losses and gradients
          </label>
          <h3>Loss</h3>
          <Chart
            label={`Loss over updates; ${told}`}
            x={steps}
            curves={losses}
            group={GROUP}
            height={240}
            isLog={isLog}
          />
          <div class="side">
            {shares.length > 0 && (
              <div>
                <h3>Validation</h3>
                <Chart
                  label={`Accuracies over updates; ${told}`}
                  x={steps}
                  curves={shares}
                  group={GROUP}
                />
              </div>
            )}
            {hasAny(curves.rate) && (
              <div>
                <h3>Learning rate</h3>
                <Chart
                  label={`Learning rate over updates; ${told}`}
                  x={steps}
                  curves={rates}
                  group={GROUP}
                />
              </div>
            )}
            {hasAny(curves.gradient) && (
              <div>
                <h3>Norm of gradients</h3>
                <Chart
                  label={`Norm of gradients over updates; ${told}`}
                  x={steps}
                  curves={gradients}
                  group={GROUP}
                  isLog={isLog}
                />
              </div>
            )}
          </div>
          <LastValues curves={curves} records={records} />
          <Groups records={records} />
        </>
      )}
      <RunCheckpoints run={id} step={records.at(-1)?.current_steps} isGone={log.state === 'gone'} />
    </article>
  );
}
