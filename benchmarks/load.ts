/**
 * `node --import=./test/support/tsx.mjs benchmarks/load.ts --model DIR [--rounds 5] [--cold] [--out FILE]`: loading beside its
 * floors on the same files in the same run. Each trial is a process of its own, as peak memory demands;
 * rounds go forward and back. `--cold` drops the files from the page cache before each trial (dd, Linux).
 *
 * - plain read: every byte once into small buffers that are used again: the disk (one reader), or the page cache
 *   (one reader a core);
 * - read into own memory: the same bytes into memory that nobody has touched: what copying cannot avoid;
 * - facellm: `FaceLlm.load` and `dispose`, tokenizer and the check for NaN included; copied: with `mmap: false`.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { readCheckpointFiles } from '../lib/checkpoint/index.js';
import { importBuilt } from './harness/built.js';
import { describeEnvironment } from './harness/environment.js';
import { bootstrap, median } from './harness/statistics.js';
import { byTurns } from './harness/turns.js';

const KINDS = ['plain read', 'read into own memory', 'facellm, copied', 'facellm'] as const;
type Kind = (typeof KINDS)[number];

interface Trial {
  readonly ms: number;
  /** User and system time of the process within the trial. */
  readonly cpuMs: number;
  /** Of the whole process, VmHWM. */
  readonly peakBytes: number;
  /** Longest wait of the event loop; loading only. */
  readonly loopDelayMs?: number;
}

/** Read calls of this size cost nothing beside the copying. */
const CHUNK = 4 << 20;

/** Each reader takes the file's next chunk. */
async function readAll(path: string, isReused: boolean, readers: number): Promise<void> {
  const { size } = statSync(path);
  const target = Buffer.allocUnsafeSlow(isReused ? readers * CHUNK : size);
  const file = await open(path, 'r');
  let next = 0;
  const read = async (reader: number): Promise<void> => {
    while (next < size) {
      let position = next;
      const end = (next = Math.min(next + CHUNK, size));
      let offset = isReused ? reader * CHUNK : position;
      while (position < end) {
        const { bytesRead } = await file.read(target, offset, end - position, position);
        if (bytesRead === 0) throw new Error(`${path} became shorter`);
        position += bytesRead;
        offset += bytesRead;
      }
    }
  };
  await Promise.all(Array.from({ length: readers }, (_, reader) => read(reader)));
  await file.close();
}

function isOurs(kind: Kind): boolean {
  return kind === 'facellm' || kind === 'facellm, copied';
}

function peakBytes(): number {
  const status = readFileSync('/proc/self/status', 'utf8');
  return 1024 * Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? NaN);
}

/** What is to be timed; whatever it needs is loaded beforehand. */
async function prepare(kind: Kind, model: string, isCold: boolean): Promise<() => Promise<void>> {
  if (isOurs(kind)) {
    const FaceLlm = await importBuilt();
    return async () => (await FaceLlm.load(model, { mmap: kind === 'facellm' })).dispose();
  }
  // A second reader is out of order, which ends the system's reading ahead: a floor too high for a disk.
  const readers = isCold ? 1 : availableParallelism();
  return () => readFiles(kind === 'plain read', model, readers);
}

async function readFiles(isReused: boolean, model: string, readers: number): Promise<void> {
  for (const path of (await readCheckpointFiles(model)).dataFiles) {
    await readAll(path, isReused, readers);
  }
}

async function trial(kind: Kind, model: string, isCold: boolean): Promise<Trial> {
  const work = await prepare(kind, model, isCold);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  if (isOurs(kind)) delay.enable();
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  await work();
  const ms = performance.now() - startedAt;
  const { user, system } = process.cpuUsage(cpu);
  return {
    ms,
    cpuMs: (user + system) / 1000,
    peakBytes: peakBytes(),
    ...(isOurs(kind) ? { loopDelayMs: delay.max / 1e6 } : {}),
  };
}

async function runAll(model: string, rounds: number, isCold: boolean): Promise<unknown> {
  const { dataFiles } = await readCheckpointFiles(model);
  const bytes = dataFiles.reduce((sum, path) => sum + statSync(path).size, 0);
  const trials = await byTurns(KINDS, rounds, (kind) => {
    if (isCold) {
      for (const path of dataFiles) {
        execFileSync('dd', [`if=${path}`, 'iflag=nocache', 'count=0', 'status=none']);
      }
    }
    const loader = new URL('../test/support/tsx.mjs', import.meta.url).href;
    const args = [`--import=${loader}`, fileURLToPath(import.meta.url), '--model', model];
    const output = execFileSync(
      process.execPath,
      [...args, '--trial', kind, ...(isCold ? ['--cold'] : [])],
      { encoding: 'utf8' },
    );
    return JSON.parse(output) as Trial;
  });
  const all = (kind: Kind, field: keyof Trial): number[] =>
    (trials.get(kind) ?? []).map((one) => one[field] ?? NaN);
  const of = (kind: Kind, field: keyof Trial): number => median(all(kind, field));
  console.log(
    `${(bytes / 1e9).toFixed(3)} GB, ${isCold ? 'not cached' : 'cached'}, ${rounds} rounds`,
  );
  for (const kind of KINDS) {
    const theirs = all(kind, 'ms');
    const ratio = bootstrap(all('facellm', 'ms').map((ours, i) => ours / (theirs[i] ?? NaN)));
    console.log(
      `${kind.padEnd(22)} ${of(kind, 'ms').toFixed(0).padStart(6)} ms  processor ${of(kind, 'cpuMs').toFixed(0).padStart(5)} ms  ` +
        `peak ${(of(kind, 'peakBytes') / bytes).toFixed(3)} of the files  facellm takes ` +
        `${ratio.median.toFixed(2)} [${ratio.low.toFixed(2)}, ${ratio.high.toFixed(2)}] times as long`,
    );
  }
  console.log(`longest wait of the event loop: ${of('facellm', 'loopDelayMs').toFixed(1)} ms`);
  return { environment: await describeEnvironment(), bytes, isCold, trials: [...trials] };
}

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    cold: { type: 'boolean', default: false },
    out: { type: 'string' },
    trial: { type: 'string' },
  },
});
const { model } = values;
if (model === undefined) throw new Error('--model DIR is needed');
const only = KINDS.find((kind) => kind === values.trial);
if (only !== undefined) {
  console.log(JSON.stringify(await trial(only, model, values.cold)));
} else {
  const report = await runAll(model, Number(values.rounds), values.cold);
  if (values.out !== undefined) writeFileSync(values.out, `${JSON.stringify(report, null, 2)}\n`);
}
