/**
 * One rank of the job that test/golden/distributed.test.ts starts: replays the oracle's runs and prints, for each, a
 * line of JSON with its name and what went wrong, if anything. Arguments: names of cases.
 */
import { loadAddon } from '../../lib/binding/load.js';
import type { NativeTrainerRequest } from '../../lib/binding/native.js';
import { joinJob, readJobEnvironment } from '../../lib/distributed/index.js';
import { checkAdapter, FULL, replay, type ReplayOptions } from './golden-training.js';

const recomputes: Partial<NativeTrainerRequest> = { checkpointsActivations: true };
const sharded: Partial<NativeTrainerRequest> = { ...recomputes, shardsWeights: true };

const CASES: Readonly<Record<string, ReplayOptions>> = {
  LoRA: { name: 'train-lora', after: checkAdapter },
  'LoRA, weights sharded': { name: 'train-lora', overrides: sharded, after: checkAdapter },
  'LoRA, accumulation, some shares empty': { name: 'train-lora-accum' },
  'LoRA, accumulation spread over the ranks': {
    name: 'train-lora-accum',
    joinsMicroBatches: true,
  },
  'LoRA, accumulation, some shares empty, weights sharded': {
    name: 'train-lora-accum',
    overrides: sharded,
  },
  'full fine-tuning': { name: 'train-full', overrides: FULL },
  'full fine-tuning, activations recomputed': {
    name: 'train-full',
    overrides: { ...FULL, ...recomputes },
  },
};

await using job = await joinJob({
  addon: loadAddon(),
  environment: readJobEnvironment(process.env),
  device: 'cpu',
});
await loadAddon().setThreads(1).promise;
for (const name of process.argv.slice(2)) {
  const options = CASES[name];
  if (options === undefined || job.group === undefined) throw new Error(`no case ${name}`);
  let problem = '';
  try {
    await replay({ ...options, group: job.group });
  } catch (error) {
    problem = error instanceof Error ? error.message : String(error);
    job.fail(error);
  }
  process.stdout.write(`${JSON.stringify({ name, problem })}\n`);
}
