/** The oracle's training runs through jobs of several Gloo processes, each with its share of every batch. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';

import { launch } from '../../lib/distributed/index.js';
import { HAS_GLOO } from '../support/gloo.js';
import { NEEDS_GLOO, skip } from '../support/skip.js';

const RANK = join(import.meta.dirname, '..', 'support', 'golden-rank.ts');

const JOBS: readonly (readonly [number, readonly string[]])[] = [
  [
    2,
    [
      'LoRA',
      'LoRA, weights sharded',
      'LoRA, accumulation, some shares empty',
      'LoRA, accumulation spread over the ranks',
      'full fine-tuning',
      'full fine-tuning, activations recomputed',
    ],
  ],
  // Shares of a layer that end in the middle of a matrix, and ranks without samples.
  [
    3,
    [
      'LoRA, weights sharded',
      'LoRA, accumulation, some shares empty, weights sharded',
      'evaluation, weights sharded, shares empty',
    ],
  ],
  [4, ['LoRA, weights sharded']],
];

/** What each rank but the first printed, whose streams are this process's; by case. */
async function run(
  processes: number,
  cases: readonly string[],
): Promise<Map<string, readonly string[]>> {
  const lines: string[] = [];
  const stdout = new PassThrough().on('data', (line: Buffer) => lines.push(line.toString()));
  const stderr = new PassThrough().on('data', (line: Buffer) => lines.push(line.toString()));
  const tsx = ['--import', new URL('../support/tsx.mjs', import.meta.url).href];
  const code = await launch({
    processes,
    program: process.execPath,
    args: [...tsx, RANK, ...cases],
    env: process.env,
    leaderOutput: 'pipe',
    ...{ stdout, stderr },
  });
  assert.equal(code, 0, lines.join(''));
  const results = new Map<string, string[]>();
  for (const line of lines.join('').split('\n')) {
    const [, text] = /^\[rank \d+\] (\{.*\})$/.exec(line) ?? [];
    if (text === undefined) continue;
    const { name, problem } = JSON.parse(text) as { name: string; problem: string };
    results.set(name, [...(results.get(name) ?? []), problem]);
  }
  return results;
}

describe(`golden training in several processes`, function () {
  this.timeout(300_000);
  for (const [processes, cases] of JOBS) {
    describe(`${processes} Gloo processes`, () => {
      let results: Map<string, readonly string[]>;
      before(async function () {
        if (!HAS_GLOO) skip(this, NEEDS_GLOO);
        results = await run(processes, cases);
      });
      for (const name of cases) {
        it(name, () => assert.deepEqual(results.get(name), Array(processes).fill('')));
      }
    });
  }
});
