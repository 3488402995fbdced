/** Answers below the public API, collected, and how near two of them must be. */
import assert from 'node:assert/strict';

import type {
  NativeModel,
  NativePrompt,
  NativeRowResult,
  NativeSampling,
  NativeTimings,
} from '../../lib/binding/native.js';

export const GREEDY: NativeSampling = {
  isGreedy: true,
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  seed: 0,
};

export interface Generated {
  readonly ids: number[];
  readonly logProbs: number[];
  readonly row: NativeRowResult;
  /** Of the whole batch. */
  readonly timings: NativeTimings;
}

export interface GenerateOptions {
  /** @default false */
  readonly usesPrefixCache?: boolean;
  /** @default greedy */
  readonly sampling?: NativeSampling;
  /** @default none */
  readonly eosIds?: readonly number[];
  /** @default 10 */
  readonly maxNewTokens?: number;
}

/** Each prompt's answer, all in one batch. */
export async function generate(
  model: NativeModel,
  prompts: readonly NativePrompt[],
  options: GenerateOptions = {},
): Promise<Generated[]> {
  const rows = prompts.map(() => ({ ids: [] as number[], logProbs: [] as number[] }));
  const result = await model.generate(
    {
      prompts,
      adapters: [],
      sampling: options.sampling ?? GREEDY,
      maxNewTokens: options.maxNewTokens ?? 10,
      eosIds: options.eosIds ?? [],
      usesPrefixCache: options.usesPrefixCache ?? false,
    },
    (batch) => {
      batch.rows.forEach((row, i) => {
        rows[row]?.ids.push(batch.ids[i] ?? -1);
        rows[row]?.logProbs.push(batch.logProbs[i] ?? NaN);
      });
    },
  ).promise;
  return rows.map((row, i) => ({
    ...row,
    row: result.rows[i] as NativeRowResult,
    timings: result.timings,
  }));
}

/** docs/numerics.md's tolerance for fp32. */
export function assertClose(actual: readonly number[], expected: readonly number[]): void {
  assert.equal(actual.length, expected.length);
  actual.forEach((value, i) => {
    const want = expected[i] ?? NaN;
    assert.ok(Math.abs(value - want) <= 1e-4 * Math.max(1, Math.abs(want)), `${value} and ${want}`);
  });
}
