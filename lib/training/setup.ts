/** What a run needs before its first update: model, tokenizer, data, all checked before weights are read. */
import { join } from 'node:path';

import { loadAddon } from '../binding/load.js';
import type {
  NativeAddon,
  NativeTrainedModule,
  NativeTrainer,
  NativeWeightForms,
} from '../binding/native.js';
import { settle } from '../binding/settle.js';
import {
  type CheckpointConfig,
  readCheckpointConfig,
  readCheckpointFiles,
  resolveCheckpoint,
} from '../checkpoint/index.js';
import { type Dataset, readDataset } from '../data/index.js';
import type { Job } from '../distributed/index.js';
import { createError } from '../errors.js';
import { ADAPTER_WEIGHTS, resolveAdapter } from '../lora/index.js';
import { keptForm, resolveWeights } from '../model/index.js';
import { TokenizerThread } from '../tokenizer/index.js';
import { alternativesOf } from './answers/answers.js';
import type { TrainingEvent } from './events.js';
import { FoundProblems } from './found-problems.js';
import { trainedModules } from './modules.js';
import type { TrainedPart, TrainingRecipe } from './recipe.js';
import { BASE_WEIGHTS, type RunFacts, type RunInputs, runInputsOf } from './run-inputs.js';
import { SampleSet } from './sample-set.js';
import { checkStartAdapter, holdAgainstBase } from './start-adapter.js';
import type { TrainOptions } from './train-options.js';
import {
  openValidation,
  ownValidation,
  type ValidationRecords,
  validationRecords,
} from './validation/open-validation.js';
import { checkNeeds } from './validation/recipe-needs.js';
import type { ValidationSet } from './validation/validation-set.js';

export interface TrainingSetup extends AsyncDisposable {
  readonly addon: NativeAddon;
  readonly directory: string;
  readonly config: CheckpointConfig;
  readonly dataset: Dataset;
  readonly samples: SampleSet;
  readonly validation: ValidationSet | undefined;
  readonly modules: readonly NativeTrainedModule[];
  readonly trainer: NativeTrainer;
  readonly inputs: RunInputs;
}

export async function openSetup(
  options: TrainOptions,
  recipe: TrainingRecipe,
  emit: (event: TrainingEvent) => void,
  signal: AbortSignal | undefined,
  job: Job,
): Promise<TrainingSetup> {
  const addon = loadAddon();
  const directory = await resolveCheckpoint(options.model);
  const [files, config] = await Promise.all([
    readCheckpointFiles(directory),
    readCheckpointConfig(directory),
  ]);
  const { adapter, modules, startAdapter, dataset, records } = await checkAll(
    ...([options, recipe, config, signal] as const),
  );
  signal?.throwIfAborted();
  const coder = await TokenizerThread.load(directory);
  try {
    let shownAt = 0;
    const all = [...records.train, ...records.validation];
    const parts = {
      ...{ addon, config, coder, recipe },
      alternativesOf: alternativesOf(recipe, records.train, all),
    };
    const recordsTotal = records.train.length;
    const samples = await SampleSet.encode(
      records.train,
      parts,
      (recordsDone) => {
        const now = performance.now();
        if (now - shownAt < 200 && recordsDone < recordsTotal) return;
        shownAt = now;
        emit({ type: 'prepare', recordsDone, recordsTotal });
      },
      signal,
    );
    const validation = await openValidation(records, parts, options, signal);
    const facts = {
      ...{ recipe, dataset, samples, config, files, startAdapter, processes: job.size },
      validation: validation?.samples,
    };
    const inputs = await runInputsOf(facts, signal);
    if (adapter !== undefined) {
      const weightsHash = inputs[BASE_WEIGHTS] ?? '';
      const base = { weightsHash, quantisation: config.quantisation, weights: formsOf(facts) };
      const warning = await holdAgainstBase(adapter, base);
      if (warning !== undefined) emit({ type: 'warning', warning });
    }
    if (options.threads !== undefined) await addon.setThreads(options.threads).promise;
    const device =
      job.device ?? ((await addon.runtimeInfo().promise).gpus.length > 0 ? 'cuda' : 'cpu');
    const creating = addon.createTrainer(
      trainerRequest(facts, modules, adapter, device),
      (bytesDone, bytesTotal) => emit({ type: 'load', bytesDone, bytesTotal }),
      job.group,
    );
    const trainer = await settle(creating, signal);
    return {
      ...{ addon, directory, config, dataset, samples, validation, modules, trainer, inputs },
      async [Symbol.asyncDispose]() {
        await trainer.dispose().promise;
        await coder.dispose();
      },
    };
  } catch (error) {
    await coder.dispose();
    throw error;
  }
}

/** What recipe, model, adapter and data make wrong, all of it at once. */
async function checkAll(
  options: TrainOptions,
  recipe: TrainingRecipe,
  config: CheckpointConfig,
  signal: AbortSignal | undefined,
): Promise<{
  /** Its folder. */
  readonly adapter: string | undefined;
  readonly modules: readonly NativeTrainedModule[];
  readonly startAdapter: string | undefined;
  readonly dataset: Dataset;
  readonly records: ValidationRecords;
}> {
  const problems = new FoundProblems();
  const modules = await problems.try(() => trainedModules(config.model, recipe));
  const wanted = options.adapter;
  const adapter =
    wanted === undefined ? undefined : await problems.try(() => resolveAdapter(wanted));
  const startAdapter =
    adapter === undefined || modules === undefined
      ? undefined
      : await problems.try(() => checkStartAdapter(adapter, config.model, recipe, modules));
  const dataset = await problems.try(() =>
    readDataset(options.data, {
      name: options.dataset,
      imageRoot: options.imageRoot,
      maxSamples: recipe.maxSamples === 0 ? undefined : recipe.maxSamples,
      checkImages: 'header',
      signal,
      onInvalid: options.onInvalid,
    }),
  );
  const own = await problems.try(() => ownValidation(recipe, options, signal));
  const { validation } = recipe;
  const isWhole = own !== undefined || validation === null || 'share' in validation;
  const records =
    dataset !== undefined && isWhole
      ? await problems.try(() => validationRecords(dataset, recipe, own, signal))
      : undefined;
  await problems.try(() => checkNeeds(records ?? ofTrain(dataset), recipe, options));
  problems.throwAll();
  if (modules === undefined || dataset === undefined || records === undefined) {
    throw createError('FACELLM_INTERNAL', 'a check failed without a problem');
  }
  return { adapter, modules, startAdapter, dataset, records };
}

/** What can be told where data to validate are not there. */
function ofTrain(dataset: Dataset | undefined): Pick<ValidationRecords, 'train'> | undefined {
  return dataset === undefined ? undefined : { train: dataset.records };
}

/** Codes of files are kept where they are what is asked for, else put back. */
function formsOf({ recipe, config }: Pick<RunFacts, 'recipe' | 'config'>): NativeWeightForms {
  const kept = recipe.base === 'stored' ? undefined : keptForm(config.model.quantisation);
  return resolveWeights({ text: recipe.base }, config.model.text, kept);
}

function trainerRequest(
  { recipe, config, files }: RunFacts,
  modules: readonly NativeTrainedModule[],
  adapter: string | undefined,
  device: string,
): Parameters<NativeAddon['createTrainer']>[0] {
  return {
    load: {
      config: config.model,
      preprocessing: config.preprocessing,
      files: files.dataFiles,
      weightMap: files.weightMap,
      device,
      dtype: recipe.dtype,
      weights: formsOf({ recipe, config }),
      mmap: false,
      imageCacheBytes: 0,
      prefixCacheBytes: 0,
      ...{ kvBytes: 0, maxRows: 1, maxContext: 1, deterministic: false },
    },
    modules,
    parts: recipe.parts,
    usesDora: recipe.lora?.usesDora ?? false,
    dropout: recipe.lora?.dropout ?? 0,
    adapterFile: adapter === undefined ? '' : join(adapter, ADAPTER_WEIGHTS),
    seed: recipe.seed,
    beta1: recipe.beta1,
    beta2: recipe.beta2,
    eps: recipe.epsilon,
    weightDecay: recipe.weightDecay,
    decaysVectors: recipe.decaysVectors,
    rates: ratesOf(recipe),
    checkpointsActivations: recipe.checkpointsActivations,
    sharesPrefix: recipe.sharesPrefix,
    shardsWeights: recipe.shardsWeights,
    lossChunkRows: recipe.lossChunkRows,
    // Pictures that change with every pass are never met again.
    featureCacheBytes: recipe.augmentation === null ? recipe.featureCacheMegabytes * 1e6 : 0,
  };
}

/** Of each part, against the learning rate of all. */
function ratesOf({ learningRate, learningRates, layerDecay }: TrainingRecipe) {
  const of = (part: TrainedPart): number => (learningRates[part] ?? learningRate) / learningRate;
  // Nothing moves at a rate of 0, whatever multiplies it.
  if (learningRate === 0) return { vision: 1, projector: 1, text: 1, head: 1, layerDecay };
  return {
    ...{ vision: of('vision'), projector: of('projector'), text: of('text'), head: of('head') },
    layerDecay,
  };
}
