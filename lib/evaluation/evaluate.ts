/** `evaluate()`: a benchmark by name over checkpoints by path, with one journal, one report. */
import { requireVega } from '../packages/vega.js';
import { JobRun } from '../jobs/index.js';
import { withCalibrations } from './calibration/apply.js';
import { checkEvaluateOptions, type EvaluateOptions } from './evaluate-options.js';
import type { NamedModel } from './face-llm-contender.js';
import { MAX_NEW_TOKENS, openBenchmark } from './open-benchmark.js';
import type { EvaluationEvent } from './run/events.js';
import type { EvaluationResult } from './run/run-benchmark.js';
import { scoreModels, type ScoringOptions } from './score-models.js';

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
  if (options.charts ?? true) {
    await requireVega('leave charts out with charts: false (--no-charts)');
  }
  // Also of a model that was trained on chips: crowds, poses and spoofs are not to be seen in one.
  const faces = options.benchmark === 'facexbench' ? 'off' : options.prompt?.faces;
  const calibrations = [options.calibration ?? []].flat();
  const scoring: ScoringOptions = {
    options,
    prompt: { ...options.prompt, faces },
    benchmark: await openBenchmark(options),
    models: modelsOf(options),
    benchmarkOptions: {
      ...(options.benchmark === 'facexbench' && { setting: options.setting ?? 'zero-shot' }),
      limit: options.limit ?? null,
      // By content: a report of other files is another run's.
      ...(calibrations.length > 0 && {
        calibration: calibrations.map(({ sha256 }) => sha256).sort(),
      }),
    },
    ...(calibrations.length > 0 && {
      settle: (benchmark, form, models) =>
        withCalibrations(benchmark, calibrations, form, models, options),
    }),
    maxNewTokens: options.maxNewTokens ?? MAX_NEW_TOKENS[options.benchmark],
  };
  return scoreModels(scoring, run);
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
