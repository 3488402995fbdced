/**
 * Making a dataset from beginning to end: labels checked, questions planned, answers asked for and
 * journalled, files written. The same call resumes a run that was stopped or killed.
 */
import { mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';

import { createError } from '../../errors.js';
import { lockFolder, removeTemporaries, runWriteError } from '../../files/index.js';
import { JobRun } from '../../jobs/index.js';
import { loadParquetWriter } from '../../packages/parquet.js';
import { Judge } from '../judging/judge.js';
import { askOnline, type OnlineOutcome } from './ask-online.js';
import { estimate } from './estimate.js';
import type { GenerationEnd, GenerationEvent, GenerationResult, GenerationRun } from './events.js';
import { checkOptions, type GenerateOptions } from './options.js';
import { type Plan, runIdentity } from './plan.js';
import { prepare, type Prepared } from './plan-dataset.js';
import { Progress } from './progress.js';
import { RunJournal } from './run-journal.js';
import type { SettleContext } from './settle.js';
import { writeResults } from './write-results.js';

async function ask(
  options: GenerateOptions,
  { plan, prices }: Prepared,
  journal: RunJournal,
  run: GenerationRun,
  progress: Progress,
): Promise<OnlineOutcome> {
  const { teacher, maxRetries = 6, maxAttempts = 3, batch } = options;
  const { onSettled, onFailure } = progress;
  const context: SettleContext = { plan, journal, teacher, prices, maxAttempts, onSettled };
  const { stopSignal } = run;
  if (batch) {
    const { askInBatches } = await import('./ask-in-batches.js');
    const settings = batch === true ? {} : batch;
    const emit = (event: GenerationEvent): void => run.emit(event);
    return askInBatches({ ...context, teacher, stopSignal, onFailure, emit, maxRetries }, settings);
  }
  if (journal.batches.size > 0) {
    const ids = [...journal.batches.values()].map(({ batchId, n }) => batchId ?? `number ${n}`);
    throw createError(
      'FACELLM_RUN_INVALID',
      `${ids.length} batch(es) of this run are still with the provider and would be paid for twice; resume with --batch`,
      { details: ids },
    );
  }
  const concurrency = options.concurrency ?? teacher.defaultConcurrency;
  const { mostPerRequest } = await estimate(plan, teacher, prices, 0);
  journal.begin(concurrency, mostPerRequest);
  const { requestsPerMinute, tokensPerMinute } = options;
  try {
    return await askOnline(
      { ...context, teacher, stopSignal, onFailure },
      { concurrency, maxRetries, requestsPerMinute, tokensPerMinute },
    );
  } finally {
    // `askOnline` has waited for everything under way, also where it throws.
    journal.finish();
  }
}

async function generate(given: GenerateOptions, run: GenerationRun): Promise<GenerationResult> {
  const options = checkOptions(given);
  // Asked for now, so that no answer is paid for in vain.
  await loadParquetWriter();
  const prepared = await prepare(options);
  const { plan, labelled } = prepared;
  const output = resolve(options.output);
  try {
    await mkdir(output, { recursive: true });
  } catch (cause) {
    throw runWriteError(output, cause);
  }
  const unlock = await lockFolder(output);
  try {
    await removeTemporaries(output);
    await using journal = await RunJournal.open({
      output,
      plan,
      identity: runIdentity(plan, labelled, options.teacher),
      spendingLimit: options.spendingLimit,
      retrySetAside: options.retrySetAside ?? false,
    });
    const progress = new Progress(run, journal);
    const { settled, total } = progress.now();
    run.emit({
      ...{ type: 'start', images: plan.images.length, total, resumed: settled },
      skippedRows: labelled.skipped.length,
    });
    const outcome = await ask(options, prepared, journal, run, progress);
    run.emit({ type: 'progress', ...progress.now() });
    await using judge =
      options.judge === undefined ? undefined : await Judge.open(output, options.judge, plan);
    const isJudged =
      judge === undefined ||
      (await judge.ask(answeredImages(plan, journal), run.stopSignal, (done, all) => {
        run.emit({ type: 'judge', done, total: all });
      }));
    run.emit({ type: 'write' });
    const asked: GenerationEnd = outcome === 'done' ? 'complete' : outcome;
    const end = isJudged ? asked : 'stopped';
    return await writeResults(options, prepared, journal, progress, end, judge);
  } finally {
    await unlock();
  }
}

/** Pictures with at least one answer, ascending. */
function answeredImages(plan: Plan, journal: RunJournal): readonly number[] {
  const count = plan.prompts.questions.length;
  return [
    ...new Set([...journal.ledger.pairs('answered')].map((pair) => Math.floor(pair / count))),
  ];
}

/**
 * Asks a teacher all questions of a prompt set about all pictures of a label CSV and writes a dataset
 * that `readDataset`, `train` and LLaMA-Factory read unchanged. Labels reach the teacher only.
 *
 * Every answer is on the disk before it is counted. A killed run loses at most the requests that were
 * under way; the same call resumes it and repeats no other. Await the run for its result, iterate over
 * it for its events, `stop()` it to finish what is under way.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT
 * @throws DataError FACELLM_DATA_NOT_FOUND, FACELLM_DATA_INVALID for labels, pictures and prompts
 * @throws MissingPackageError FACELLM_PACKAGE_MISSING without the `hyparquet-writer` package
 * @throws TeacherError FACELLM_TEACHER_FAILED
 * @throws TrainingError FACELLM_RUN_INVALID if the folder belongs to another run or process,
 * FACELLM_RUN_WRITE
 */
export function generateDataset(options: GenerateOptions): GenerationRun {
  return new JobRun((run) => generate(options, run));
}
