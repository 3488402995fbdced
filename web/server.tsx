/** What the server does, from its own metrics: queue, rows, cache, tokens a second. */
import { useEffect, useRef, useState } from 'preact/hooks';

import { get } from './api.js';
import { Chart } from './chart.js';
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
  useEffect(() => {
    let last: { readonly at: number; readonly tokens: number } | undefined;
    const ask = async (): Promise<void> => {
      try {
        const metrics = readMetrics(await (await get('/metrics')).text());
        const tokens = metrics.get('generation_tokens_total') ?? 0;
        const at = Date.now() / 1000;
        if (last !== undefined) {
          const [times, rates] = history.current;
          history.current = [
            [...times, at].slice(-KEPT),
            [...rates, (tokens - last.tokens) / (at - last.at)].slice(-KEPT),
          ];
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
    return () => clearInterval(timer);
  }, []);
  const [times, rates] = history.current;
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
      <Chart
        label="Generated tokens a second, the last two minutes"
        x={times}
        curves={[{ name: 'tokens/s', values: rates, look: 'first' }]}
        isTime
      />
      <Failure error={error} />
    </section>
  );
}
