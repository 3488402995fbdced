/** A benchmark over checkpoints by path: all asked in one form, each when its turn has come, with one journal and one report. */
import type { JobRun } from '../jobs/index.js';
import type { PromptOptions } from '../model/index.js';
import { type AskedForm, chooseForm, formSettings } from './asked-form.js';
import type { AskingOptions } from './evaluate-options.js';
import {
  type FaceLlmContenderOptions,
  faceLlmContender,
  type LocatedModel,
  locateModel,
  type NamedModel,
} from './face-llm-contender.js';
import type { Contender, ScoredModel } from './model-under-test.js';
import type { EvaluationEvent } from './run/events.js';
import { rankFromEnvironment } from './run/ranks.js';
import { type EvaluationResult, runBenchmark } from './run/run-benchmark.js';
import type { SettingValue } from './run/settings.js';
import type { Benchmark, GalleryOptions } from './types.js';

const DEFAULT_BATCH_SIZE = 8;
const DEFAULT_GALLERY = 50;

export interface ScoringOptions {
  /** As the caller gave them. */
  readonly options: AskingOptions & { readonly seed?: number | undefined };
  /** How all models are asked, as far as that is said. */
  readonly prompt: PromptOptions;
  readonly benchmark: Benchmark;
  /** The first is what the others are compared with. */
  readonly models: readonly NamedModel[];
  /** How the benchmark was put together, for the record. */
  readonly benchmarkOptions: Readonly<Record<string, SettingValue>>;
  readonly maxNewTokens: number;
  readonly choose?: FaceLlmContenderOptions['choose'];
  /** A model that is not the first, held against that. @default alone */
  readonly beside?: (contender: Contender<ScoredModel>, first: Contender<ScoredModel>) => Contender;
  /** The benchmark once it is known who is asked, and how. @default as it is */
  readonly settle?: (
    benchmark: Benchmark,
    form: AskedForm,
    models: readonly LocatedModel[],
  ) => Promise<Benchmark>;
}

function galleryOf({
  gallery = DEFAULT_GALLERY,
  galleryPictures: hasPictures = false,
}: AskingOptions): GalleryOptions | undefined {
  return gallery === 0 ? undefined : { most: gallery, hasPictures };
}

/** @throws as `evaluate` */
export async function scoreModels(
  scoring: ScoringOptions,
  run: JobRun<EvaluationEvent, unknown>,
): Promise<EvaluationResult> {
  const { options, maxNewTokens, benchmarkOptions, choose, settle, beside } = scoring;
  const stop = run.stopSignal;
  const signal = options.signal === undefined ? stop : AbortSignal.any([options.signal, stop]);
  const emit = (event: EvaluationEvent): void => run.emit(event);
  const seed = options.seed ?? 0;
  signal.throwIfAborted();
  const models = await Promise.all(scoring.models.map(locateModel));
  const { form, recordedBy } = chooseForm(scoring.prompt, models);
  const benchmark = (await settle?.(scoring.benchmark, form, models)) ?? scoring.benchmark;
  const prompt = formSettings(form);
  emit({ type: 'asking', form: prompt, recordedBy });
  const { device, dtype, weights, threads, mmap } = options;
  const { kvMemory, maxContext, maxRows, deterministic } = options;
  const limits = { kvMemory, maxContext, maxRows, deterministic };
  const load = { device, dtype, weights, threads, mmap, ...limits };
  const asking = { prompt: form, maxNewTokens, seed, choose, hashes: new Map<string, string>() };
  const located: Contender<ScoredModel>[] = [];
  for (const model of models) {
    located.push(await faceLlmContender(model, { ...asking, load, signal, emit }));
  }
  const contenders = located.map((one, i) => {
    const [first] = located;
    return i === 0 || first === undefined ? one : (beside?.(one, first) ?? one);
  });
  return runBenchmark({
    benchmark,
    contenders,
    output: options.output,
    // What belongs to this process alone is no part of the record.
    request: { ...options, rank: undefined, signal: undefined },
    recordedBy,
    settings: {
      benchmarkOptions,
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
    charts: options.charts ?? true,
    gallery: galleryOf(options),
    ...(options.rank ?? rankFromEnvironment()),
    signal,
    stop,
    emit,
  });
}
