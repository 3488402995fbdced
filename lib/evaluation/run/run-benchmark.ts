/**
 * A benchmark put to one or several models: each process works through its share, and whoever finds all
 * answers in the folder writes the report. Everything in the folder is whole or absent at any instant.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { createError, FaceLlmError } from '../../errors.js';
import { lockFolder, writeFileAtomic } from '../../files/index.js';
import { packageVersion } from '../../packages/version.js';
import type { Contender } from '../model-under-test.js';
import type { Benchmark, BenchmarkSummary, GalleryOptions, ModelRun } from '../types.js';
import { askModel } from './ask-model.js';
import type { EvaluationEvent } from './events.js';
import { galleryHtml } from './gallery.js';
import { rankFolder, readJournals } from './journal.js';
import type { Rank } from './ranks.js';
import type { RunSettings } from './settings.js';

export interface BenchmarkRunOptions extends Rank {
  readonly benchmark: Benchmark;
  /** The first is what the others are compared with. */
  readonly contenders: readonly Contender[];
  readonly output: string;
  /** What the caller asked for, for the record; JSON-serialisable. */
  readonly request: object;
  /** Models whose record of their training says how all are asked, for the record. @default none */
  readonly recordedBy?: readonly string[];
  readonly settings: Pick<
    RunSettings,
    'benchmarkOptions' | 'prompt' | 'maxNewTokens' | 'batchSize' | 'seed'
  >;
  readonly onFailure: 'record' | 'stop';
  /** As {@link ReportOptions.charts}. @default true */
  readonly charts?: boolean | undefined;
  /** @default none */
  readonly gallery?: GalleryOptions | undefined;
  readonly signal: AbortSignal;
  /** Part of `signal`: its raising ends the run without an error. */
  readonly stop?: AbortSignal;
  readonly emit: (event: EvaluationEvent) => void;
}

export interface EvaluationResult {
  readonly output: string;
  /** Questions put to each model. */
  readonly questions: number;
  /** Questions not answered yet, here or by other processes, over all models. The report waits for them. */
  readonly missing: number;
  /** Questions that could not be asked, over all models; the same command asks them again. */
  readonly failures: number;
  /** Absent while questions are missing. */
  readonly summary: BenchmarkSummary | undefined;
}

const REPORT = 'report';
const GALLERY = 'gallery.html';

/** @throws the signal's reason; FaceLlmError. What was answered stays in the folder. */
export async function runBenchmark(options: BenchmarkRunOptions): Promise<EvaluationResult> {
  const { benchmark, contenders, output, rank, stop, emit } = options;
  await makeFolder(rankFolder(output, rank));
  const unlock = await lockFolder(rankFolder(output, rank));
  try {
    // Refused before any model is loaded, if one of their journals has other settings.
    for (const contender of contenders) {
      await readJournals(output, contender.name, settingsOf(options, contender));
    }
    await describeRun(options);
    for (const contender of contenders) {
      await askModel({ ...options, contender, settings: settingsOf(options, contender), emit });
    }
  } catch (error) {
    if (stop?.aborted !== true || error !== stop.reason) throw error;
  } finally {
    await unlock();
  }
  const runs = await collect(options);
  const missing = runs.reduce(
    (sum, { outcomes }) => sum + benchmark.items.length - outcomes.length,
    0,
  );
  const failures = runs
    .flatMap(({ outcomes }) => outcomes)
    .filter(({ failure }) => failure !== undefined).length;
  const result = { output, questions: benchmark.items.length, missing, failures };
  if (missing > 0) return { ...result, summary: undefined };
  return { ...result, summary: await writeReport(options, runs) };
}

function settingsOf(
  { benchmark, settings }: BenchmarkRunOptions,
  contender: Contender,
): RunSettings {
  return {
    facellm: packageVersion(),
    benchmark: benchmark.name,
    data: benchmark.fingerprint,
    questions: benchmark.items.length,
    readings: benchmark.readings,
    model: contender.identity,
    ...settings,
  };
}

async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true }).catch((cause: unknown) => {
    throw createError('FACELLM_RUN_WRITE', `${path} cannot be made; check the path`, { cause });
  });
}

/** run.json: everything needed to do the run again. The same from every process. */
async function describeRun(options: BenchmarkRunOptions): Promise<void> {
  const { benchmark, contenders, output, request, recordedBy = [] } = options;
  const models = contenders.map((contender) => ({
    name: contender.name,
    origin: contender.origin,
    settings: settingsOf(options, contender),
  }));
  const { name, isPartial, notes, sources = [] } = benchmark;
  const asked = { recordedBy };
  const run = { request, benchmark: { name, isPartial, notes }, asked, models, sources };
  await writeFileAtomic(join(output, 'run.json'), `${JSON.stringify(run, null, 2)}\n`);
}

/** The outcomes of all processes, in the order of the items, as far as they are there. */
async function collect(options: BenchmarkRunOptions): Promise<ModelRun[]> {
  const { benchmark, contenders, output } = options;
  return Promise.all(
    contenders.map(async (contender) => {
      const known = await readJournals(output, contender.name, settingsOf(options, contender));
      const outcomes = benchmark.items.flatMap(({ id }) => known.get(id) ?? []);
      const run = { name: contender.name, outcomes };
      return benchmark.withCalibrated?.(run) ?? run;
    }),
  );
}

/**
 * The merged question logs, the benchmark's tables, summary.json. Two processes that end together write
 * the same one after the other.
 */
async function writeReport(
  { benchmark, output, charts, gallery, emit }: BenchmarkRunOptions,
  runs: readonly ModelRun[],
): Promise<BenchmarkSummary> {
  const folder = join(output, REPORT);
  await makeFolder(folder);
  const unlock = await lockReport(folder);
  try {
    emit({ type: 'report', folder });
    for (const { name, outcomes } of runs) {
      const lines = outcomes.map((outcome) => `${JSON.stringify(outcome)}\n`);
      await writeFileAtomic(join(output, `questions-${name}.jsonl`), lines.join(''));
    }
    const reported = await benchmark.report(runs, folder, { charts });
    const { files } = reported;
    const more = gallery === undefined ? [] : [GALLERY];
    const summary = { ...reported, files: [...files, ...more] };
    if (gallery !== undefined) {
      await writeFileAtomic(join(folder, GALLERY), await galleryHtml(benchmark, runs, gallery));
    }
    await writeFileAtomic(join(output, 'summary.json'), `${JSON.stringify(summary, null, 2)}\n`);
    return summary;
  } finally {
    await unlock();
  }
}

const REPORT_PATIENCE_MS = 60_000;
const RETRY_MS = 100;

async function lockReport(folder: string): Promise<() => Promise<void>> {
  const deadline = performance.now() + REPORT_PATIENCE_MS;
  for (;;) {
    try {
      return await lockFolder(folder);
    } catch (error) {
      const isHeld = error instanceof FaceLlmError && error.code === 'FACELLM_RUN_INVALID';
      if (!isHeld || performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}
