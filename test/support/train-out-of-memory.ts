/**
 * A trainer whose process may take little more memory than it has: a large micro-batch fails, and a small one
 * after it gives what it gave before. Prints the error's code and both losses as JSON.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

import type { NativeMicroBatch } from '../../lib/binding/native.js';
import { createTrainer, goldenRun, goldenSamples, NO_ANSWERS } from './training.js';

function limitAddressSpace(bytes: number | 'unlimited'): void {
  execFileSync('prlimit', ['--pid', String(process.pid), `--as=${bytes}:unlimited`]);
}

const samples = await goldenSamples(goldenRun('train-lora'));
const trainer = await createTrainer();
const batchOf = (copies: number): NativeMicroBatch => ({
  samples: Array.from({ length: copies }, () => samples).flat(),
  denominator: 1000,
  draw: 0,
  isLast: true,
  ...NO_ANSWERS,
});
const lossOf = async (): Promise<number> => (await trainer.accumulate(batchOf(1)).promise).loss;

const before = await lossOf();
await trainer.update({ learningRate: 0, maxGradNorm: 0 }).promise;
// 300,000 tokens whose activations are kept take several times as much.
const large = batchOf(400);
const [, kilobytes] = /VmSize:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
limitAddressSpace(Number(kilobytes) * 1024 + 400e6);
let code = 'none';
try {
  await trainer.accumulate(large).promise;
} catch (error) {
  code = String((error as { code?: unknown }).code);
} finally {
  limitAddressSpace('unlimited');
}
const after = await lossOf();
await trainer.dispose().promise;
console.log(JSON.stringify({ code, before, after }));
