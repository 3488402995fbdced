/** The training rows of the GPU proof: a LoRA step a row, each in a process of its own; started with a {@link LoraJob} as JSON. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

import { readCheckpointConfig } from '../../lib/checkpoint/index.js';
import type { RowResult } from '../training/measure-row.js';
import { trainingRows } from '../training/rows.js';
import { loraStepWork } from './counts.js';
import { printRow } from './row.js';

export interface LoraJob {
  readonly title: string;
  readonly directory: string;
  readonly device: string;
  readonly threads: number;
  /** Python with transformers and PEFT; '': none. */
  readonly python: string;
  readonly baselineDevice: string;
  readonly batch: number;
  readonly pairs: number;
  /** How many of the rows, most wanted first. */
  readonly rows: number;
}

const MEASURE = join(import.meta.dirname, '..', 'training', 'measure-row.ts');
const RANK = 16;

const job = JSON.parse(process.argv[2] ?? '{}') as LoraJob;
const { model } = await readCheckpointConfig(job.directory);
for (const row of trainingRows(job.batch).slice(0, job.rows)) {
  const request = { ...row.request, imageTokens: model.imageSeqLength };
  const measured = JSON.parse(
    execFileSync(
      process.execPath,
      [
        ...process.execArgv,
        MEASURE,
        JSON.stringify({
          ...{ row: { ...row, request }, model: job.directory, device: job.device },
          ...{ threads: job.threads, pairs: job.pairs, baseline: job.python },
          baselineDevice: job.baselineDevice,
        }),
      ],
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] },
    ),
  ) as RowResult;
  const { ms, pairs, peakBytes, samplesPerSecond, beside } = measured;
  const { batch, tokens, learnt } = request;
  printRow({
    ...{ name: `${job.title}: ${row.name}`, ms, runs: pairs, peakBytes },
    work: loraStepWork(model, {
      ...{ batch, tokens, learnt, rank: RANK, encodesPictures: !row.cachesPictures },
    }),
    perSecond: { count: samplesPerSecond, unit: 'samples' },
    ...(beside && {
      beside: { name: 'transformers + PEFT', ms: beside.ms, ratio: beside.ratio },
    }),
  });
}
