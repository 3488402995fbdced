/**
 * One rank of the job that test/golden/distributed.test.ts starts: replays the oracle's runs and prints, for each, a
 * line of JSON with its name and what went wrong, if anything. Arguments: names of cases.
 */
import assert from 'node:assert/strict';

import { loadAddon } from '../../lib/binding/load.js';
import type { NativeTrainerRequest } from '../../lib/binding/native.js';
import { type Job, joinJob, readJobEnvironment } from '../../lib/distributed/index.js';
import { sampleLosses } from '../../lib/training/sample-losses.js';
import { checkAdapter, FULL, replay, type ReplayOptions } from './golden-training.js';
import { createTrainer, goldenRun, goldenSamples, loraModules } from './training.js';

const recomputes: Partial<NativeTrainerRequest> = { checkpointsActivations: true };
const sharded: Partial<NativeTrainerRequest> = { ...recomputes, shardsWeights: true };

const ALONE = 'evaluation, weights sharded, shares empty';
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

/** Losses of samples, those of the first rank alone: the others take part in gathering weights, and go on. */
async function evaluateAlone(job: Job): Promise<void> {
  const modules = await loraModules('all');
  const trainer = await createTrainer({ ...sharded, modules }, 'fp32', job.group);
  const samples = await goldenSamples(goldenRun('train-lora'));
  const losses = [];
  // The second time without anyone's, the third by all.
  for (const own of [job.isLeader ? samples : [], [], samples]) {
    losses.push(await sampleLosses(trainer, own, job, undefined));
  }
  await trainer.dispose().promise;
  assert.deepEqual(losses[0], job.isLeader ? losses[2] : []);
  assert.deepEqual(losses[1], []);
  assert.equal(losses[2]?.length, samples.length);
}

await using job = await joinJob({
  addon: loadAddon(),
  environment: readJobEnvironment(process.env),
  device: 'cpu',
});
await loadAddon().setThreads(1).promise;
for (const name of process.argv.slice(2)) {
  const options = name === ALONE ? undefined : CASES[name];
  if ((name !== ALONE && options === undefined) || job.group === undefined) {
    throw new Error(`no case ${name}`);
  }
  let problem = '';
  try {
    if (options === undefined) await evaluateAlone(job);
    else await replay({ ...options, group: job.group });
  } catch (error) {
    problem = error instanceof Error ? error.message : String(error);
    job.fail(error);
  }
  process.stdout.write(`${JSON.stringify({ name, problem })}\n`);
}
