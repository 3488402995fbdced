/** `evaluate()`: a benchmark by name over checkpoints by path, with one journal, one report. */
import { requireVega } from '../packages/vega.js';
import { JobRun } from '../jobs/index.js';
import { chooseForm, formSettings } from './asked-form.js';
import { checkEvaluateOptions, type EvaluateOptions } from './evaluate-options.js';
import { faceLlmContender, locateModel, type NamedModel } from './face-llm-contender.js';
import type { Contender } from './model-under-test.js';
import { type BenchmarkName, MAX_NEW_TOKENS, openBenchmark } from './open-benchmark.js';
import type { EvaluationEvent } from './run/events.js';
import { rankFromEnvironment } from './run/ranks.js';
import { type EvaluationResult, runBenchmark } from './run/run-benchmark.js';

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
  checkEvaluateOptions(options);
  // In the caller's order, which the run's record keeps.
  const own = { ...options };
  return new JobRun((run) => evaluateAll(own, run));
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
  // Also of a model that was trained on chips: crowds, poses and spoofs are not to be seen in one.
  const faces = options.benchmark === 'facexbench' ? 'off' : options.prompt?.faces;
  const { form, recordedBy } = chooseForm({ ...options.prompt, faces }, models);
  const prompt = formSettings(form);
  emit({ type: 'asking', form: prompt, recordedBy });
  const { device, dtype, weights, threads, mmap } = options;
  const { kvMemory, maxContext, maxRows, deterministic } = options;
  const limits = { kvMemory, maxContext, maxRows, deterministic };
  const load = { device, dtype, weights, threads, mmap, ...limits };
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
      prompt: {
        ...{ ...prompt, dtype: options.dtype ?? 'as stored' },
        // What answers follow from; where nothing was asked for, the journal's sessions say what was done.
        ...(deterministic !== undefined && { deterministic }),
        ...(maxContext !== undefined && { maxContext }),
        ...(weights !== undefined && weights !== 'stored' && { weights: JSON.stringify(weights) }),
      },
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
