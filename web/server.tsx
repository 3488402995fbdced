/** What the server does, from its own metrics: queue, rows, cache, tokens a second. */
import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';

import { get } from './api.js';
import { Failure } from './failure.js';

const EVERY_MS = 1000;
const KEPT = 120;

/** Sums over labels. */
function readMetrics(text: string): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  for (const line of text.split('\n')) {
    const match = /^[a-z]+:(\w+)(?:\{[^}]*\})? (\S+)$/.exec(line);
    if (match === null) continue;
    const [, name = '', value = ''] = match;
    sums.set(name, (sums.get(name) ?? 0) + Number(value));
  }
  return sums;
}

const NUMBERS: readonly (readonly [name: string, label: string, scale: number])[] = [
  ['num_requests_running', 'running', 1],
  ['num_requests_waiting', 'waiting', 1],
  ['kv_cache_usage_perc', 'cache in use, %', 100],
];

export function Server() {
  const [now, setNow] = useState<ReadonlyMap<string, number>>();
  const [error, setError] = useState<unknown>();
  const history = useRef<[number[], number[]]>([[], []]);
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const style = getComputedStyle(element);
    const axis = { stroke: style.color, grid: { stroke: style.borderColor } };
    const chart = new uPlot(
      {
        ...{ width: Math.max(280, element.clientWidth), height: 180, legend: { show: false } },
        axes: [axis, axis],
        series: [{}, { label: 'tokens/s', stroke: style.getPropertyValue('--accent'), width: 2 }],
      },
      history.current,
      element,
    );
    let last: { readonly at: number; readonly tokens: number } | undefined;
    const ask = async (): Promise<void> => {
      try {
        const metrics = readMetrics(await (await get('/metrics')).text());
        const tokens = metrics.get('generation_tokens_total') ?? 0;
        const at = Date.now() / 1000;
        if (last !== undefined) {
          const [times, rates] = history.current;
          times.push(at);
          rates.push((tokens - last.tokens) / (at - last.at));
          while (times.length > KEPT) {
            times.shift();
            rates.shift();
          }
          chart.setData([times, rates]);
        }
        last = { at, tokens };
        setNow(metrics);
        setError(undefined);
      } catch (reason) {
        setError(reason);
      }
    };
    void ask();
    const timer = setInterval(() => void ask(), EVERY_MS);
    return () => {
      clearInterval(timer);
      chart.destroy();
    };
  }, []);
  return (
    <section aria-label="Server">
      <dl class="numbers">
        {NUMBERS.map(([name, label, scale]) => (
          <div>
            <dt>{label}</dt>
            <dd>
              {now === undefined
                ? '–'
                : ((now.get(name) ?? 0) * scale).toFixed(scale === 1 ? 0 : 1)}
            </dd>
          </div>
        ))}
      </dl>
      <h2>Tokens a second</h2>
      <div
        class="chart"
        ref={place}
        role="img"
        aria-label="Generated tokens a second, the last two minutes"
      />
      <Failure error={error} />
    </section>
  );
}
