/**
 * Everything that the order and the numbers of a run follow from, by name: a run is resumed only with the same, and
 * what differs can be told.
 */
import { createHash } from 'node:crypto';

import type { CheckpointConfig, CheckpointFiles } from '../checkpoint/index.js';
import type { Dataset } from '../data/index.js';
import { sampledPictureHash, sampledWeightsHash, sha256 } from '../files/index.js';
import { FILES_AT_ONCE, mapBounded } from '../jobs/index.js';
import type { TrainingRecipe } from './recipe.js';
import type { SampleSet } from './sample-set.js';

/** Name and value; values are hashes, or short enough to be told. */
export type RunInputs = Readonly<Record<string, string>>;

export const BASE_WEIGHTS = 'the base model, its weights';

/** Settings that change nothing of a run's numbers. */
const WITHOUT_EFFECT = ['name', 'logEvery', 'saveEvery', 'keepCheckpoints', 'shardsWeights'];

/** Of validation, without which they say nothing; and runs of before know none of them. */
const VALIDATION = ['validation', 'evaluateEvery', 'bestMetric', 'patience'];

/** Settings that runs of before do not know, where they say nothing. */
const NOTHING: Readonly<Record<string, unknown>> = {
  base: 'stored',
  cooldown: 0,
  balancesGroups: [],
  learningRates: {},
  layerDecay: 1,
  sharesPrefix: false,
  expectedReward: null,
  preference: null,
};

function saysNothing(key: string, value: unknown): boolean {
  return key in NOTHING && JSON.stringify(NOTHING[key]) === JSON.stringify(value);
}

/** As runs of before have it, where only what they do not know says nothing. */
function toldOf(key: string, value: unknown): unknown {
  // Data of their own are told by what is in them: a folder may be moved, or named another way.
  if (key === 'validation' && Object.hasOwn(value ?? {}, 'data')) return 'data of their own';
  if (key !== 'lora' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value as object).filter(
      ([own, part]) => part !== null || !['vision', 'projector'].includes(own),
    ),
  );
}

function hashOf(value: unknown): string {
  return sha256(JSON.stringify(value));
}

export interface RunFacts {
  readonly recipe: TrainingRecipe;
  readonly dataset: Dataset;
  readonly samples: SampleSet;
  /** What the run is examined on. */
  readonly validation: SampleSet | undefined;
  readonly config: CheckpointConfig;
  readonly files: CheckpointFiles;
  /** sha256 of the adapter that the run starts from. */
  readonly startAdapter: string | undefined;
  /** More processes take more samples an update. */
  readonly processes: number;
}

/** Token ids of all samples, which tell the tokenizer and the template. */
function hashTokens({ samples }: SampleSet): string {
  const hash = createHash('sha256');
  for (const { encoded, others, imageTokens } of samples) {
    hash.update(`${encoded.ids.length} ${imageTokens.join(' ')}\n`);
    for (const { ids, isLearnt } of [encoded, ...others]) hash.update(ids).update(isLearnt);
  }
  return hash.digest('hex');
}

async function hashPictures({ samples }: SampleSet, signal?: AbortSignal): Promise<string> {
  const paths = [...new Set(samples.flatMap(({ record }) => record.images))];
  const hashes = await mapBounded(paths, FILES_AT_ONCE, (path) => {
    signal?.throwIfAborted();
    return sampledPictureHash(path);
  });
  // By content, not by path: a folder may move.
  const numbers = new Map(paths.map((path, number) => [path, number]));
  return hashOf([hashes, samples.map(({ record }) => record.images.map((p) => numbers.get(p)))]);
}

export async function runInputsOf(facts: RunFacts, signal?: AbortSignal): Promise<RunInputs> {
  const { recipe, dataset, samples, validation, config, files, startAdapter, processes } = facts;
  const settings = Object.entries(recipe)
    .filter(([key]) => !WITHOUT_EFFECT.includes(key))
    .filter(([key]) => recipe.validation !== null || !VALIDATION.includes(key))
    .filter(([key, value]) => !saysNothing(key, value))
    .map(([key, value]) => [`recipe.${key}`, JSON.stringify(toldOf(key, value))]);
  return {
    ...(Object.fromEntries(settings) as RunInputs),
    processes: String(processes),
    'the data file': dataset.sha256,
    'the records left out as bad': hashOf(dataset.skipped.map(({ index }) => index)),
    'the pictures': await hashPictures(samples, signal),
    'the tokenizer or its template': hashTokens(samples),
    ...(validation === undefined
      ? {}
      : {
          'the pictures to validate with': await hashPictures(validation, signal),
          'the samples to validate with': hashTokens(validation),
        }),
    'the base model, its configuration': hashOf(config.model),
    [BASE_WEIGHTS]: await sampledWeightsHash(files.dataFiles),
    'the adapter to start from': startAdapter ?? 'none',
  };
}

/** Equal for runs that take the same steps. */
export function fingerprintOf(inputs: RunInputs): string {
  return hashOf(Object.entries(inputs).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** One line for each input that is not as before. */
export function changedInputs(before: RunInputs, now: RunInputs): string[] {
  const told = (value: string | undefined): string => {
    if (value === undefined) return 'nothing';
    return /^[0-9a-f]{64}$/.test(value) ? `sha256 ${value.slice(0, 12)}…` : value;
  };
  return [...new Set([...Object.keys(before), ...Object.keys(now)])].flatMap((name) => {
    const [was, is] = [before[name], now[name]];
    return was === is ? [] : [`${name}: the folder has ${told(was)}, this run ${told(is)}`];
  });
}
