/** From a recipe to the records that are learnt from and the set that the run is examined on. */
import { type Dataset, readDataset, type TrainingRecord } from '../../data/index.js';
import { sampledPictureHash } from '../../files/index.js';
import { FILES_AT_ONCE, mapBounded } from '../../jobs/index.js';
import type { TrainingRecipe } from '../recipe.js';
import type { SampleSetParts } from '../sample-set.js';

import type { TrainOptions } from '../train-options.js';
import { closedAnswers } from './closed-answers.js';
import { splitRecords } from './split.js';
import { ValidationSet } from './validation-set.js';

export interface ValidationRecords {
  readonly train: readonly TrainingRecord[];
  /** Empty without validation. */
  readonly validation: readonly TrainingRecord[];
  /** sha256 of validation data of their own. */
  readonly sha256: string | undefined;
  /** Pictures and people of validation data of their own that are learnt from, too, a text each. */
  readonly shared: readonly string[];
}

/**
 * Validation data in a file of their own.
 *
 * @returns undefined where the recipe has none
 * @throws what readDataset throws
 */
export async function ownValidation(
  { validation }: TrainingRecipe,
  { onInvalid }: Pick<TrainOptions, 'onInvalid'>,
  signal: AbortSignal | undefined,
): Promise<Dataset | undefined> {
  if (validation === null || 'share' in validation) return undefined;
  return readDataset(validation.data, {
    name: validation.dataset,
    imageRoot: validation.imageRoot,
    checkImages: 'header',
    signal,
    onInvalid,
  });
}

/**
 * @param own what {@link ownValidation} has read
 * @throws DataError FACELLM_DATA_INVALID where nothing would be left to learn from or a person is not known
 */
export async function validationRecords(
  dataset: Dataset,
  { validation, seed }: TrainingRecipe,
  own: Dataset | undefined,
  signal: AbortSignal | undefined,
): Promise<ValidationRecords> {
  const none = { validation: [], sha256: undefined, shared: [] };
  if (validation !== null && 'share' in validation) {
    return { ...none, ...splitRecords(dataset.records, validation, seed) };
  }
  if (own === undefined) return { train: dataset.records, ...none };
  const shared = await sharedBy(dataset.records, own.records, signal);
  return { train: dataset.records, validation: own.records, sha256: own.sha256, shared };
}

/** A picture or a person on both sides makes every figure too good. Pictures are told by their bytes. */
async function sharedBy(
  train: readonly TrainingRecord[],
  validation: readonly TrainingRecord[],
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const people = new Set(train.flatMap(({ facts }) => facts.person ?? []));
  const paths = [...new Set([...train, ...validation].flatMap(({ images }) => images))];
  const hashes = await mapBounded(paths, FILES_AT_ONCE, (path) => {
    signal?.throwIfAborted();
    return sampledPictureHash(path);
  });
  const hashOf = new Map(paths.map((path, i) => [path, hashes[i]]));
  const pictures = new Set(train.flatMap(({ images }) => images.map((path) => hashOf.get(path))));
  return validation.flatMap(({ index, images, facts }) => [
    ...images
      .filter((path) => pictures.has(hashOf.get(path)))
      .map((path) => `record ${index}: the picture ${path} is learnt from, too`),
    ...(facts.person !== undefined && people.has(facts.person)
      ? [`record ${index}: pictures of the person ${facts.person} are learnt from, too`]
      : []),
  ]);
}

/** @returns undefined without validation */
export async function openValidation(
  { train, validation }: ValidationRecords,
  parts: SampleSetParts,
  options: TrainOptions,
  signal: AbortSignal | undefined,
): Promise<ValidationSet | undefined> {
  if (validation.length === 0) return undefined;
  const answersTo = closedAnswers([...train, ...validation]);
  const mayLose = options.onInvalid === 'skip';
  return ValidationSet.encode(validation, answersTo, parts, mayLose, signal);
}
