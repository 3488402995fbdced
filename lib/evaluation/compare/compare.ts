/** `compare()`: what a model loses beside a reference, above all through its form of weights: measured, not promised. */
import { readCheckpointConfig } from '../../checkpoint/index.js';
import { createError } from '../../errors.js';
import { JobRun } from '../../jobs/index.js';
import { defaultDtype, type Dtype } from '../../model/index.js';
import { requireVega } from '../../packages/vega.js';
import { locateModel, type NamedModel } from '../face-llm-contender.js';
import { SMALL_GROUP } from '../metrics/groups.js';
import { openBenchmark } from '../open-benchmark.js';
import type { EvaluationEvent } from '../run/events.js';
import type { EvaluationResult } from '../run/run-benchmark.js';
import { scoreModels } from '../score-models.js';
import type { Benchmark, BenchmarkSummary, ModelRun, ReportOptions } from '../types.js';
import { compareModels, type ComparisonFigures, worstQuestions } from './analysis.js';
import { besideReference } from './beside-reference.js';
import { checkCompareOptions, type CompareOptions } from './options.js';
import { writeComparisonReport } from './report.js';

export interface ComparisonResult extends EvaluationResult {
  /** Of the model beside its reference; absent while questions are missing. */
  readonly figures: ComparisonFigures | undefined;
}

export type ComparisonRun = JobRun<EvaluationEvent, ComparisonResult>;

/** Answers are read along for so many tokens; each takes 1.2 MB of memory while it is. */
const MOST_TOKENS = 64;
const WORST = 10;

/**
 * Asks a reference and a model the same questions, and tells how far the model's answers are from the reference's: KL along the
 * reference's greedy answers, agreement, probabilities of choices shifted, decisions flipped, calibration, all by group; and
 * beside it the same of the reference in its other dtype. Both models are in memory together. `stop()` ends the run with what is
 * answered saved; the same call goes on from there.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT listing every wrong option. The run rejects as that of `evaluate`
 */
export function compare(options: CompareOptions): ComparisonRun {
  checkCompareOptions(options);
  const own = { ...options };
  return new JobRun((run) => compareAll(own, run));
}

async function compareAll(options: CompareOptions, run: ComparisonRun): Promise<ComparisonResult> {
  if (options.charts ?? true) {
    await requireVega('leave charts out with charts: false (--no-charts)');
  }
  const models = await modelsOf(options);
  const { prompt, limit, seed = 0 } = options;
  const smallGroup = ('smallGroup' in options ? options.smallGroup : undefined) ?? SMALL_GROUP;
  const plain = await openBenchmark({ ...options, reading: 'both' });
  const found: { figures?: ComparisonFigures } = {};
  const report = async (
    runs: readonly ModelRun[],
    output: string,
    how?: ReportOptions,
  ): Promise<BenchmarkSummary> => {
    const [reference, ...others] = runs;
    if (reference === undefined) throw new TypeError('a comparison has a reference');
    const inputs = others.map((model) => ({
      ...{ items: plain.items, reference, model },
      ...{ smallGroup, seed },
    }));
    const comparisons = inputs.flatMap((input) => compareModels(input) ?? []);
    const [first] = comparisons;
    if (first?.name !== 'model') {
      throw createError(
        'FACELLM_DATA_INVALID',
        'no question was answered by both models; the journals in the folder say why',
      );
    }
    found.figures = first.overall;
    const failed = runs.flatMap(({ outcomes }) => outcomes.filter(({ failure }) => failure)).length;
    return writeComparisonReport({
      ...{ output, comparisons, seed, smallGroup, benchmark: plain, charts: how?.charts },
      worst: inputs[0] === undefined ? [] : worstQuestions(inputs[0], WORST),
      forms: models.map(describeModel),
      notes: [
        ...plain.notes,
        ...(failed === 0 ? [] : [`${failed} question(s) could not be asked and are left out`]),
      ],
    });
  };
  const benchmark: Benchmark = { ...plain, report };
  const result = await scoreModels(
    {
      ...{ benchmark, models, beside: besideReference },
      // Forms of weights are each model's own.
      options: { ...options, weights: undefined },
      prompt: { ...prompt, faces: options.benchmark === 'facexbench' ? 'off' : prompt?.faces },
      benchmarkOptions: {
        limit: limit ?? null,
        ...('setting' in options && { setting: (options.setting as string | undefined) ?? null }),
      },
      maxNewTokens: options.maxNewTokens ?? MOST_TOKENS,
    },
    run,
  );
  return { ...result, figures: found.figures };
}

/** Reference, model, and the reference in its other dtype. */
async function modelsOf(options: CompareOptions): Promise<NamedModel[]> {
  const { model, subfolder, adapter, against, againstAdapter, weights = 'stored' } = options;
  const isSame = against === undefined;
  const reference = {
    model: against ?? model,
    subfolder: isSame ? subfolder : undefined,
    adapter: [againstAdapter ?? (isSame ? adapter : undefined) ?? []].flat(),
  };
  const { directory } = await locateModel({ name: 'reference', ...reference });
  const dtype = options.dtype ?? defaultDtype(await readCheckpointConfig(directory));
  const other: Dtype = dtype === 'fp32' ? 'bf16' : 'fp32';
  const named = { model, subfolder, adapter: [adapter ?? []].flat() };
  return [
    { name: 'reference', ...reference, load: { dtype, weights: 'stored' } },
    {
      ...{ name: 'model', ...named },
      load: { weights, ...(options.dtype && { dtype: options.dtype }) },
    },
    ...((options.yardstick ?? true)
      ? [{ name: 'yardstick', ...reference, load: { dtype: other, weights: 'stored' as const } }]
      : []),
  ];
}

function describeModel({ name, model, adapter = [], load }: NamedModel): string {
  const { dtype = 'its own dtype', weights = 'stored' } = load ?? {};
  const form = typeof weights === 'string' ? weights : JSON.stringify(weights);
  const under = adapter.length === 0 ? '' : ` with ${adapter.join(', ')}`;
  return `${name}: ${model}${under}, ${dtype}, weights ${form}`;
}
