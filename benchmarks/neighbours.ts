/**
 * `node --import=./test/support/tsx.mjs benchmarks/neighbours.ts --model DIR [--dtype bf16] [--weights stored] [--threads 2] [--pairs 5]
 * [--rows TEXT] [--out FILE]`: the rows of `npm run bench` with the machine to itself, beside one process that never stops computing,
 * and beside as many as there are cores, by turns. Who shares its cores with equals gets half of them: twice the time is fair, and more
 * is what threads lose that wait for each other.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';

import type { WeightForm } from '../lib/model/index.js';
import { writeReport } from './harness/environment.js';
import { bootstrap, median } from './harness/statistics.js';
import { byTurns } from './harness/turns.js';
import { openRows } from './inference/open-rows.js';

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    dtype: { type: 'string', default: 'bf16' },
    weights: { type: 'string', default: 'stored' },
    threads: { type: 'string', default: '2' },
    pairs: { type: 'string', default: '5' },
    rows: { type: 'string', default: '' },
    out: { type: 'string' },
  },
});
const { model } = values;
if (model === undefined) throw new Error('--model DIR is needed');

/** Processes that compute while they are let. */
class Neighbours {
  readonly #processes: readonly ChildProcess[];

  constructor(count: number) {
    this.#processes = Array.from({ length: count }, () =>
      spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }),
    );
    this.let(0);
  }

  get count(): number {
    return this.#processes.length;
  }

  /** So many of them go on, the others stand still. */
  let(count: number): void {
    for (const [i, one] of this.#processes.entries()) one.kill(i < count ? 'SIGCONT' : 'SIGSTOP');
  }

  end(): void {
    for (const one of this.#processes) one.kill('SIGKILL');
  }
}

const { parts, rows } = await openRows({
  ...{ model, dtype: values.dtype, device: 'cpu', threads: values.threads },
  weights: values.weights as WeightForm,
});
const neighbours = new Neighbours(availableParallelism());
const counts = [...new Set([0, 1, neighbours.count])];
const results: unknown[] = [];
try {
  for (const { name, run } of rows) {
    if (name.startsWith('load') || !name.includes(values.rows)) continue;
    await run();
    const times = await byTurns(counts, Number(values.pairs), async (count) => {
      neighbours.let(count);
      return run();
    });
    neighbours.let(0);
    const alone = times.get(0) ?? [];
    for (const [count, own] of times) {
      const ratio = bootstrap(own.map((ms, pair) => ms / (alone[pair] ?? NaN)));
      console.log(
        `${name.padEnd(28)} ${String(count).padStart(3)} neighbours ${median(own).toFixed(0).padStart(7)} ms  ` +
          `${ratio.median.toFixed(2)} [${ratio.low.toFixed(2)}, ${ratio.high.toFixed(2)}] times as long as alone`,
      );
      results.push({ row: name, neighbours: count, times: own });
    }
  }
} finally {
  neighbours.end();
}
await Promise.all([parts.native.dispose().promise, parts.tokenizer.dispose()]);
await writeReport(values, { results });
