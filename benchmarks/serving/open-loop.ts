/**
 * Requests at moments drawn beforehand, whatever the server does: a stalled one cannot hide behind clients that wait for it. Times count
 * from the planned moment. Terms and keys are those of `vllm bench serve`.
 */
import { quantile } from './quantile.js';

export interface Served {
  /** Milliseconds from the planned moment to the first text; undefined for what is not streamed. */
  readonly ttft: number | undefined;
  /** To the end. */
  readonly e2el: number;
  /** Between pieces of text. */
  readonly gaps: readonly number[];
  readonly tokens: number;
}

export interface Attempt {
  readonly status: number;
  readonly served: Served | undefined;
  /** Of a refusal: from the planned moment to the answer. */
  readonly ms: number;
}

export interface Load {
  /** Requests a second. */
  readonly rate: number;
  readonly seconds: number;
  readonly seed: number;
  /** @param at the planned moment, of performance.now() */
  readonly ask: (index: number, at: number) => Promise<Attempt>;
}

/** mulberry32: the same moments on every machine. */
export function numbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Milliseconds from the start, by a Poisson process. */
export function arrivals({ rate, seconds, seed }: Omit<Load, 'ask'>): number[] {
  const next = numbers(seed);
  const moments: number[] = [];
  for (let at = 0; ;) {
    at += (-Math.log(1 - next()) / rate) * 1000;
    if (at > seconds * 1000) return moments;
    moments.push(at);
  }
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export async function run(load: Load): Promise<readonly Attempt[]> {
  const start = performance.now();
  const attempts = arrivals(load).map(async (moment, index) => {
    const at = start + moment;
    await sleep(Math.max(0, at - performance.now()));
    return load.ask(index, at);
  });
  return Promise.all(attempts);
}

const spread = (name: string, values: readonly number[]): Record<string, number> =>
  values.length === 0
    ? {}
    : {
        [`mean_${name}_ms`]: values.reduce((sum, value) => sum + value, 0) / values.length,
        [`median_${name}_ms`]: quantile(values, 0.5),
        [`p90_${name}_ms`]: quantile(values, 0.9),
        [`p99_${name}_ms`]: quantile(values, 0.99),
      };

/** @param limitMs of the time to the first text (to the end, where nothing is streamed) that counts as good */
export function summarize(
  attempts: readonly Attempt[],
  seconds: number,
  limitMs: number,
): Record<string, number> {
  const served = attempts.flatMap((one) => one.served ?? []);
  const tokens = served.reduce((sum, one) => sum + one.tokens, 0);
  const good = served.filter(({ ttft, e2el }) => (ttft ?? e2el) <= limitMs);
  const streamed = served.flatMap(({ ttft, ...rest }) =>
    ttft === undefined ? [] : [{ ttft, ...rest }],
  );
  const tpot = streamed.flatMap(({ ttft, e2el, tokens: made }) =>
    made > 1 ? [(e2el - ttft) / (made - 1)] : [],
  );
  return {
    duration: seconds,
    num_prompts: attempts.length,
    completed: served.length,
    refused: attempts.filter(({ status }) => status === 429).length,
    failed: attempts.filter(({ status, served: one }) => one === undefined && status !== 429)
      .length,
    request_throughput: served.length / seconds,
    output_throughput: tokens / seconds,
    request_goodput: good.length / seconds,
    ...spread(
      'ttft',
      streamed.map(({ ttft }) => ttft),
    ),
    ...spread('tpot', tpot),
    ...spread(
      'itl',
      served.flatMap(({ gaps }) => gaps),
    ),
    ...spread(
      'e2el',
      served.map(({ e2el }) => e2el),
    ),
    ...spread(
      'refusal',
      attempts.filter(({ status }) => status === 429).map(({ ms }) => ms),
    ),
  };
}
