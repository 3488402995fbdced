/** What a recipe asks of the data that these data cannot give: told at once, before anything is encoded or loaded. */
import type { TrainingRecord } from '../../data/index.js';
import { createError } from '../../errors.js';
import { didYouMean } from '../../options/index.js';
import type { TrainingRecipe } from '../recipe.js';
import type { TrainOptions } from '../train-options.js';
import { closedAnswers } from './closed-answers.js';
import { LAST, METRICS } from './figures.js';
import type { ValidationRecords } from './open-validation.js';

/** Those to validate may be missing: they cannot be read, or split off. */
type KnownRecords = Pick<ValidationRecords, 'train'> & Partial<ValidationRecords>;

/** Figures of the validation data, and what is wrong with the one that decides. */
function metricProblems(
  records: KnownRecords | undefined,
  { bestMetric, validation: wanted }: TrainingRecipe,
  { validate }: TrainOptions,
): string[] {
  if (wanted === null) return [];
  if (!METRICS.includes(bestMetric)) {
    // What `validate` gives is known when it has been called.
    if (validate !== undefined) return [];
    const known = METRICS.join(', ');
    return [
      `recipe.bestMetric: ${bestMetric} is none of ${known}, and there is no train({ validate }) to give it; ${didYouMean(bestMetric, METRICS)}`,
    ];
  }
  if (records?.validation === undefined || bestMetric === LAST) return [];
  const { train, validation } = records;
  const problems: string[] = [];
  const answersTo = closedAnswers([...train, ...validation]);
  if (bestMetric !== 'loss' && !validation.some((record) => answersTo(record) !== undefined)) {
    problems.push(
      `recipe.bestMetric: ${bestMetric} is of closed questions, and no question of the data has the same few answers again and again; expected loss`,
    );
  }
  const isGrouped = ({ facts: { gender, age, race } }: TrainingRecord): boolean =>
    (gender ?? age ?? race) !== undefined;
  if (bestMetric === 'worstGroupAccuracy' && !validation.some(isGrouped)) {
    problems.push(
      'recipe.bestMetric: worstGroupAccuracy needs records with the keys gender, age or race',
    );
  }
  return problems;
}

const MOST_TOLD = 1000;

/**
 * @param records undefined where they cannot be read: what is wrong whatever they are is told
 * @throws DataError FACELLM_DATA_INVALID where data to validate share pictures or people with data to learn from, else
 *   InvalidArgumentError FACELLM_INVALID_ARGUMENT; either lists all that is wrong
 */
export function checkNeeds(
  records: KnownRecords | undefined,
  recipe: TrainingRecipe,
  options: TrainOptions,
): void {
  const missing = recipe.balancesGroups.filter(
    (key) => records?.train.some(({ facts }) => facts[key] !== undefined) === false,
  );
  const details = [
    ...metricProblems(records, recipe, options),
    ...missing.map(
      (key) =>
        `recipe.balancesGroups: no record has the key ${key}, by which people would be told apart; write it into the records, or leave it out`,
    ),
  ];
  const cannotGive = 'the recipe asks for a metric or for groups that its data cannot give';
  const { shared = [] } = records ?? {};
  if (shared.length > 0) {
    const file =
      recipe.validation !== null && 'data' in recipe.validation ? recipe.validation.data : '';
    throw createError(
      'FACELLM_DATA_INVALID',
      `${file} shares pictures or people with the data that are learnt from; take them out of one of the two` +
        (details.length === 0 ? '' : `; and ${cannotGive}`),
      { details: [...details, ...shared.slice(0, MOST_TOLD)] },
    );
  }
  if (details.length === 0) return;
  throw createError('FACELLM_INVALID_ARGUMENT', cannotGive, { details });
}
