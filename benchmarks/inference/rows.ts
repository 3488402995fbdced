/** What is measured: one function a row, each giving the milliseconds of one run of ours. */
import { performance } from 'node:perf_hooks';

import type { NativeModel } from '../../lib/binding/native.js';
import { GREEDY } from '../../test/support/generate.js';
import type { Request } from '../baselines/hf.js';
import { importBuilt } from '../harness/built.js';

export interface Row {
  readonly name: string;
  readonly run: () => Promise<number>;
  /** The same work for the baseline; absent where there is none. */
  readonly baseline?: Request;
  /** Fewer pairs for what takes long. */
  readonly mostPairs?: number;
}

/** Five blocks of the cache and a token: rows whose prompts are known begin to answer in one step. */
const KNOWN = 321;

function randomIds(count: number): Int32Array {
  return Int32Array.from({ length: count }, () => 100 + Math.floor(Math.random() * 900));
}

export interface RowContext {
  readonly native: NativeModel;
  readonly directory: string;
  readonly dtype: 'fp32' | 'bf16';
  readonly tileSize: number;
  readonly device: string;
}

export function createRows({
  native,
  directory,
  dtype,
  tileSize,
  device,
}: RowContext): readonly Row[] {
  const image = (columns: number, rows: number, hasThumbnail: boolean) => {
    // Noise of another content each time: neither cache may answer.
    const side = tileSize * 2;
    const rgb = Uint8Array.from({ length: side * side * 3 }, () => Math.random() * 256);
    return {
      key: String(Math.random()),
      rgb,
      width: side,
      height: side,
      columns,
      rows,
      hasThumbnail,
    };
  };
  const vision =
    (columns: number, rows: number, thumbnail: boolean) => async (): Promise<number> => {
      const input = image(columns, rows, thumbnail);
      const start = performance.now();
      await native.embedImages([input], []).promise;
      return performance.now() - start;
    };
  const generate = async (
    prompts: readonly Int32Array[],
    steps: number,
    usesPrefixCache = false,
  ): Promise<{ prefill: number; decode: number }> => {
    const answers = await Promise.all(
      prompts.map(
        (ids) =>
          native.generate({
            prompt: { ids, images: [] },
            ...{ adapters: [], rows: 1, firstRow: 0, eosIds: [], isMasked: false },
            usesPrefixCache,
            sampling: GREEDY,
            maxNewTokens: steps + 1,
          }).promise,
      ),
    );
    // Of requests that go along together each counts every step.
    const slowest = (phase: 'prefill' | 'decode'): number =>
      Math.max(...answers.map(({ timings }) => timings[phase]));
    return { prefill: slowest('prefill'), decode: slowest('decode') };
  };
  return [
    {
      name: 'load (weights read once)',
      mostPairs: 5,
      baseline: { kind: 'load' },
      run: async () => {
        const FaceLlm = await importBuilt();
        const start = performance.now();
        const model = await FaceLlm.load(directory, { dtype, device });
        const took = performance.now() - start;
        await model.dispose();
        return took;
      },
    },
    {
      name: 'preprocess + ViT, 1 tile',
      run: vision(1, 1, false),
      baseline: { kind: 'vision', tiles: 1 },
    },
    {
      name: 'preprocess + ViT, 4 tiles',
      run: vision(2, 2, false),
      baseline: { kind: 'vision', tiles: 4 },
      mostPairs: 5,
    },
    {
      name: 'prefill 316',
      run: async () => (await generate([randomIds(316)], 1)).prefill,
      baseline: { kind: 'prefill', tokens: 316 },
    },
    {
      name: 'prefill 1024',
      run: async () => (await generate([randomIds(1024)], 1)).prefill,
      baseline: { kind: 'prefill', tokens: 1024 },
      mostPairs: 5,
    },
    {
      name: 'decode 32 at 316',
      run: async () => (await generate([randomIds(316)], 32)).decode,
      baseline: { kind: 'decode', context: 316, steps: 32, rows: 1 },
    },
    ...[1, 2, 4, 8, 16].map((rows) => ({
      name: `decode 16 of ${rows} rows at ${KNOWN}`,
      run: async () => {
        const prompts = Array.from({ length: rows }, () => randomIds(KNOWN));
        // Their prompts are computed before, as the baseline's are: what is told is decoding alone.
        await generate(prompts, 1, true);
        return (await generate(prompts, 16, true)).decode;
      },
      baseline: { kind: 'decode', context: KNOWN, steps: 16, rows } as const,
      mostPairs: 5,
    })),
  ];
}
