/** `evaluate()`: a benchmark by name over checkpoints by path, with one journal, one report. */
import { requireVega } from '../packages/vega.js';
import { received } from '../options/describe.js';
import { InvalidArgumentError } from '../errors.js';
import { JobRun } from '../jobs/index.js';
import type { Dtype, PromptOptions } from '../model/index.js';
import { chooseForm, formSettings } from './asked-form.js';
import { faceLlmContender, locateModel, type NamedModel } from './face-llm-contender.js';
import type { Contender } from './model-under-test.js';
import {
  BENCHMARK_NAMES,
  type BenchmarkChoice,
  type BenchmarkDataOptions,
  type BenchmarkName,
  MAX_NEW_TOKENS,
  openBenchmark,
} from './open-benchmark.js';
import {
  type EvaluationEvent,
  type EvaluationResult,
  type Rank,
  rankFromEnvironment,
  runBenchmark,
} from './run/index.js';

/** A benchmark with its own options, its data, and how models are asked. */
export type EvaluateOptions = BenchmarkChoice & BenchmarkDataOptions & AskingOptions;

export interface AskingOptions {
  /** Checkpoint folder, or a hub id in the local cache. */
  readonly model: string;
  /** PEFT folders: the model with them is scored beside the model alone, as `tuned`. */
  readonly adapter?: string | readonly string[] | undefined;
  /** Instead of adapters: a second checkpoint, scored beside the first as `tuned`. */
  readonly tuned?: string | undefined;
  /** Folder of the run; made if absent. A run that lies there goes on. */
  readonly output: string;
  /** A question that cannot be asked (broken picture, no memory) is recorded, or ends the run. @default 'record' */
  readonly onFailure?: 'record' | 'stop' | undefined;
  /** Plots in the report, which need the packages vega and vega-lite. @default true */
  readonly charts?: boolean | undefined;
  /** Longest reply. @default 2048 for `facexbench`, 64 for `attributes`, 16 for `pairs` */
  readonly maxNewTokens?: number | undefined;
  /** Questions computed together. @default 8 */
  readonly batchSize?: number | undefined;
  /**
   * Template, system turn, tiles; all models of a run are asked alike. @default as the models were trained where that is
   * recorded beside one of them (where two records differ, the run is refused until the options say which); else the
   * checkpoint's own template and no system turn
   */
  readonly prompt?: Omit<PromptOptions, 'signal'> | undefined;
  readonly device?: string | undefined;
  readonly dtype?: Dtype | undefined;
  readonly threads?: number | undefined;
  /** As `FaceLlm.load`'s. @default true */
  readonly mmap?: boolean | undefined;
  /** Folder inside the checkpoint. */
  readonly subfolder?: string | undefined;
  /** Share of this process. @default by RANK and WORLD_SIZE, or SLURM_PROCID and SLURM_NTASKS */
  readonly rank?: Rank | undefined;
  /** Rejects the run at once with its reason; everything answered so far stays, as with `stop()`. */
  readonly signal?: AbortSignal | undefined;
}

const DEFAULT_BATCH_SIZE = 8;
/** Benchmarks whose reports have plots. */
const DRAWN: readonly BenchmarkName[] = ['attributes', 'pairs'];

/** A run under way: await it for its result, iterate over it for its events. */
export type EvaluationRun = JobRun<EvaluationEvent, EvaluationResult>;

/**
 * Scores one model, or a base and a tuned one, on a benchmark. `stop()` ends the run at once with what is
 * answered saved; the same call goes on from there. Before the first question it rejects with the stop signal's reason.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT listing every wrong option. The run itself rejects with
 *   DataError listing every fault of the data; CheckpointError, DeviceError; TrainingError FACELLM_RUN_INVALID if
 *   the folder holds answers under other settings, listing them; MissingPackageError FACELLM_PACKAGE_MISSING before
 *   any work where charts are wanted and vega is not installed; the signal's reason
 */
export function evaluate(options: EvaluateOptions): EvaluationRun {
  checkOptions(options);
  return new JobRun((run) => evaluateAll(options, run));
}

async function evaluateAll(
  options: EvaluateOptions,
  run: EvaluationRun,
): Promise<EvaluationResult> {
  const stop = run.stopSignal;
  const signal = options.signal === undefined ? stop : AbortSignal.any([options.signal, stop]);
  const emit = (event: EvaluationEvent): void => run.emit(event);
  const maxNewTokens = options.maxNewTokens ?? MAX_NEW_TOKENS[options.benchmark];
  const seed = options.seed ?? 0;
  const charts = options.charts ?? true;
  if (charts && DRAWN.includes(options.benchmark)) {
    await requireVega('leave charts out with charts: false (--no-charts)');
  }
  const benchmark = await openBenchmark(options);
  signal.throwIfAborted();
  const models = await Promise.all(modelsOf(options).map(locateModel));
  const { form, recordedBy } = chooseForm(options.prompt ?? {}, models);
  const prompt = formSettings(form);
  emit({ type: 'asking', form: prompt, recordedBy });
  const { device, dtype, threads, mmap } = options;
  const load = { device, dtype, threads, mmap };
  const asking = { prompt: form, maxNewTokens, seed, hashes: new Map<string, string>() };
  const contenders: Contender[] = [];
  for (const model of models) {
    contenders.push(await faceLlmContender(model, { ...asking, load, signal, emit }));
  }
  return runBenchmark({
    benchmark,
    contenders,
    output: options.output,
    // What belongs to this process alone is no part of the record.
    request: { ...options, rank: undefined, signal: undefined },
    recordedBy,
    settings: {
      benchmarkOptions: {
        ...(options.benchmark === 'facexbench' && { setting: options.setting ?? 'zero-shot' }),
        limit: options.limit ?? null,
      },
      prompt: { ...prompt, dtype: options.dtype ?? 'as stored' },
      maxNewTokens,
      batchSize: options.batchSize ?? DEFAULT_BATCH_SIZE,
      seed,
    },
    onFailure: options.onFailure ?? 'record',
    charts,
    ...(options.rank ?? rankFromEnvironment()),
    signal,
    stop,
    emit,
  });
}

/** The models of a run; the first is what the other is compared with. */
function modelsOf({ model, subfolder, adapter, tuned }: EvaluateOptions): NamedModel[] {
  const adapters = [adapter ?? []].flat();
  return [
    { name: 'base', model, subfolder },
    ...(adapters.length > 0 ? [{ name: 'tuned', model, subfolder, adapter: adapters }] : []),
    ...(tuned === undefined ? [] : [{ name: 'tuned', model: tuned }]),
  ];
}

/** Lists everything wrong that can be told without reading a file. */
function checkOptions(options: EvaluateOptions): void {
  const problems: string[] = [];
  const given: Readonly<Record<string, unknown>> = { ...options };
  const oneOf = (name: string, known: readonly string[]): void => {
    const value = given[name];
    if (value === undefined || known.includes(value as string)) return;
    problems.push(`${name}: expected ${known.join(', ')}, ${received(value)}`);
  };
  const natural = (name: string, least: number): void => {
    const value = given[name];
    if (value === undefined || (Number.isSafeInteger(value) && (value as number) >= least)) return;
    problems.push(`${name}: expected a whole number of at least ${least}, ${received(value)}`);
  };
  if (!BENCHMARK_NAMES.includes(options.benchmark)) {
    problems.push(
      `benchmark: expected ${BENCHMARK_NAMES.join(', ')}, ${received(options.benchmark)}`,
    );
  }
  for (const name of ['data', 'model', 'output'] as const) {
    if (typeof given[name] !== 'string' || given[name] === '') {
      problems.push(`${name}: expected a path`);
    }
  }
  if (options.tuned !== undefined && [options.adapter ?? []].flat().length > 0) {
    problems.push('tuned: given beside adapter; the model with adapters is the tuned one');
  }
  oneOf('setting', ['zero-shot', 'in-context']);
  oneOf('reading', ['text', 'probability', 'both']);
  oneOf('onInvalid', ['error', 'skip']);
  oneOf('onFailure', ['record', 'stop']);
  if (options.charts !== undefined && typeof options.charts !== 'boolean') {
    problems.push(`charts: expected true or false, ${received(options.charts)}`);
  }
  natural('limit', 1);
  natural('maxNewTokens', 1);
  natural('batchSize', 1);
  natural('seed', 0);
  if (problems.length === 0) return;
  throw new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', 'the evaluation options are wrong', {
    details: problems,
  });
}
