/**
 * Making a dataset from beginning to end: labels checked, questions planned, answers asked for and
 * journalled, files written. The same call resumes a run that was stopped or killed.
 */
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { createError } from '../../errors.js';
import {
  lockFolder,
  removeTemporaries,
  runWriteError,
  writeFileAtomic,
} from '../../files/index.js';
import { JobRun } from '../../jobs/index.js';
import { loadParquetWriter } from '../../packages/parquet.js';
import { Judge } from '../judging/judge.js';
import { type LabelledImages, readLabels } from '../labels/read-labels.js';
import { checkPromptSet, loadPromptSet, selectQuestions } from '../prompts/load-prompt-set.js';
import type { PromptSet } from '../prompts/prompt-set.js';
import { BATCH_PRICE_FACTOR } from '../teachers/prices.js';
import type { Teacher, TokenPrices } from '../teachers/teacher.js';
import { askOnline, type OnlineOutcome } from './ask-online.js';
import { dataCard } from './data-card.js';
import { estimate, type Estimate } from './estimate.js';
import type {
  GenerationEnd,
  GenerationEvent,
  GenerationProgress,
  GenerationResult,
} from './events.js';
import { checkOptions, type GenerateOptions } from './options.js';
import { Plan, runIdentity } from './plan.js';
import { RunJournal } from './run-journal.js';
import type { SettleContext } from './settle.js';
import { writeDataset } from './write-dataset.js';

export const CARD_NAME = 'README.md';
export const SUMMARY_NAME = 'summary.json';
const PROGRESS_MS = 100;

/** `stop()` finishes the requests under way, writes the files and resolves. */
export type GenerationRun = JobRun<GenerationEvent, GenerationResult>;

export interface GenerationPlan extends Estimate {
  readonly images: number;
  /** Pairs that will be asked. */
  readonly pairs: number;
  readonly unasked: number;
  readonly skippedRows: number;
  readonly teacher: Readonly<Record<string, unknown>>;
  readonly promptSet: { readonly name: string; readonly version: string; readonly sha256: string };
}

interface Prepared {
  readonly labelled: LabelledImages;
  readonly plan: Plan;
  readonly prices: TokenPrices | undefined;
}

function pricesOf(teacher: Teacher, isBatch: boolean): TokenPrices | undefined {
  const { prices } = teacher;
  if (prices === undefined || !isBatch) return prices;
  return { input: prices.input * BATCH_PRICE_FACTOR, output: prices.output * BATCH_PRICE_FACTOR };
}

async function loadPrompts({
  prompts = 'fairfacegpt',
  questions,
}: GenerateOptions): Promise<PromptSet> {
  const set =
    typeof prompts === 'string' ? await loadPromptSet(prompts) : checkPromptSet(prompts, 'prompts');
  return questions === undefined ? set : selectQuestions(set, questions);
}

async function prepare(options: GenerateOptions): Promise<Prepared> {
  const prompts = await loadPrompts(options);
  const labelled = await readLabels(options);
  const prices = pricesOf(options.teacher, Boolean(options.batch));
  return { labelled, plan: new Plan(labelled.images, prompts), prices };
}

function promptSetOf(plan: Plan): GenerationResult['promptSet'] {
  const { name, version } = plan.prompts;
  return { name, version, sha256: plan.promptSha256 };
}

function unaskedOf(plan: Plan): number {
  let count = 0;
  for (let pair = 0; pair < plan.size; pair++) if (plan.obstacle(pair) !== undefined) count++;
  return count;
}

/**
 * What `generateDataset` would do: labels checked, pairs counted, tokens and cost estimated. Nothing is
 * asked or written.
 *
 * @throws as `generateDataset`
 */
export async function planDataset(given: GenerateOptions): Promise<GenerationPlan> {
  const options = checkOptions(given);
  const { plan, labelled, prices } = await prepare(options);
  const unasked = unaskedOf(plan);
  const pairs = plan.size - unasked;
  return {
    ...(await estimate(plan, options.teacher, prices, pairs)),
    images: plan.images.length,
    pairs,
    unasked,
    skippedRows: labelled.skipped.length,
    teacher: { name: options.teacher.name, ...options.teacher.identity },
    promptSet: promptSetOf(plan),
  };
}

/** Counts what is settled and tells about it now and then. */
class Progress {
  readonly #run: GenerationRun;
  readonly #journal: RunJournal;
  readonly #startedAt = performance.now();
  #settledNow = 0;
  #failedRequests = 0;
  #toldAt = -Infinity;
  readonly #before: number;

  constructor(run: GenerationRun, journal: RunJournal) {
    this.#run = run;
    this.#journal = journal;
    const { ledger } = journal;
    this.#before = ledger.count('answered') + ledger.count('aside');
  }

  get failedRequests(): number {
    return this.#failedRequests;
  }

  get seconds(): number {
    return (performance.now() - this.#startedAt) / 1000;
  }

  readonly onSettled = (): void => {
    this.#settledNow++;
    this.#tell();
  };

  readonly onFailure = (): void => {
    this.#failedRequests++;
    this.#tell();
  };

  now(): GenerationProgress {
    const { ledger, rejections, account } = this.#journal;
    return {
      total: ledger.size - ledger.count('unasked'),
      settled: this.#before + this.#settledNow,
      setAside: ledger.count('aside'),
      rejected: [...rejections.values()].reduce((sum, count) => sum + count, 0),
      failedRequests: this.#failedRequests,
      spending: account.spending,
      elapsedSeconds: this.seconds,
      settledNow: this.#settledNow,
    };
  }

  #tell(): void {
    const now = performance.now();
    if (now - this.#toldAt < PROGRESS_MS) return;
    this.#toldAt = now;
    this.#run.emit({ type: 'progress', ...this.now() });
  }
}

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
    return await finish(options, prepared, journal, progress, end, judge);
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

async function finish(
  options: GenerateOptions,
  { plan, labelled, prices }: Prepared,
  journal: RunJournal,
  progress: Progress,
  end: GenerationEnd,
  judge: Judge | undefined,
): Promise<GenerationResult> {
  const output = resolve(options.output);
  const { ledger } = journal;
  const written = await writeDataset({ plan, journal, output, skipped: labelled.skipped, judge });
  const sheet = (await judge?.writeSheet(output)) ?? [];
  const result: GenerationResult = {
    output,
    end,
    total: ledger.size - ledger.count('unasked'),
    answered: ledger.count('answered'),
    thinkingCut: journal.thinkingCut,
    setAside: Object.fromEntries([...journal.asides].filter(([, count]) => count > 0)),
    unasked: ledger.count('unasked'),
    open: ledger.count('open') + ledger.count('in_batch'),
    skippedRows: labelled.skipped.length,
    rejected: Object.fromEntries(journal.rejections),
    failedRequests: progress.failedRequests,
    spending: journal.account.spending,
    teacher: { name: options.teacher.name, ...options.teacher.identity },
    promptSet: promptSetOf(plan),
    ...(judge === undefined ? {} : { judgement: judge.summary() }),
    statistics: written.statistics,
    files: [...written.files, ...sheet, CARD_NAME, SUMMARY_NAME],
    seconds: progress.seconds,
  };
  const { license } = options;
  const { sha256: labelsSha256, isFairFace } = labelled;
  const { prompts } = plan;
  const card = dataCard({ result, prompts, labelsSha256, license, isFairFace, prices });
  await writeFileAtomic(join(output, CARD_NAME), card);
  await writeFileAtomic(join(output, SUMMARY_NAME), `${JSON.stringify(result, null, 2)}\n`);
  return result;
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
