/** Answers below the public API, collected, and how near two of them must be. */
import assert from 'node:assert/strict';

import type {
  NativeModel,
  NativePrompt,
  NativeRowResult,
  NativeSampling,
  NativeTimings,
} from '../../lib/binding/native.js';
import { type TokenLogProb, TokenRouter } from '../../lib/generation/index.js';

export const GREEDY: NativeSampling = {
  isGreedy: true,
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  seed: 0,
  frequencyPenalty: 0,
  presencePenalty: 0,
  biasIds: new Int32Array(),
  biases: new Float32Array(),
  minTokens: 0,
  topLogProbs: 0,
  logProbs: 'raw',
};

export interface Generated {
  readonly ids: number[];
  readonly logProbs: number[];
  /** The most probable ids of each place, with `topLogProbs`. */
  readonly tops: (readonly TokenLogProb[])[];
  readonly row: NativeRowResult;
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

const routers = new WeakMap<NativeModel, TokenRouter>();

/** Each prompt's answer, all of them under way at once. */
export async function generate(
  model: NativeModel,
  prompts: readonly NativePrompt[],
  options: GenerateOptions = {},
): Promise<Generated[]> {
  const router = routers.get(model) ?? new TokenRouter(model);
  routers.set(model, router);
  return Promise.all(
    prompts.map(async (prompt, place) => {
      const [ids, logProbs]: [number[], number[]] = [[], []];
      const tops: (readonly TokenLogProb[])[] = [];
      const { rows, timings } = await router.generate(
        {
          prompt,
          adapters: [],
          sampling: options.sampling ?? GREEDY,
          rows: 1,
          firstRow: place,
          maxNewTokens: options.maxNewTokens ?? 10,
          eosIds: options.eosIds ?? [],
          usesPrefixCache: options.usesPrefixCache ?? false,
          isMasked: false,
        },
        (_, { id, logProb, top }) => {
          ids.push(id);
          logProbs.push(logProb);
          if (top !== undefined) tops.push(top);
        },
      ).promise;
      return { ids, logProbs, tops, row: rows[0] as NativeRowResult, timings };
    }),
  );
}

/** docs/numerics.md's tolerance for fp32. */
export function assertClose(actual: readonly number[], expected: readonly number[]): void {
  assert.equal(actual.length, expected.length);
  actual.forEach((value, i) => {
    const want = expected[i] ?? NaN;
    assert.ok(Math.abs(value - want) <= 1e-4 * Math.max(1, Math.abs(want)), `${value} and ${want}`);
  });
}
