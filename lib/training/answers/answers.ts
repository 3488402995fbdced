/** Which records are learnt from by the probabilities of whole answers, and by which answers. */
import type { TrainingRecord } from '../../data/index.js';
import { createError } from '../../errors.js';
import type { TrainingRecipe } from '../recipe.js';
import { closedAnswers } from '../validation/closed-answers.js';
import { rewardsOf } from './rewards.js';

/** Beside a record's own answer, which comes first. */
export interface Alternatives {
  readonly objective: 'expected-reward' | 'preference';
  readonly others: readonly string[];
  /** Of the record's own answer and the others; empty for a preference. */
  readonly rewards: readonly number[];
}

/** Undefined for a record that is learnt from as any other. */
export type AlternativesOf = (record: TrainingRecord) => Alternatives | undefined;

/**
 * @param train the records that are learnt from
 * @param all those that the run is examined on among them
 * @returns undefined for a recipe without such an objective
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT listing what of the recipe the data cannot give
 */
export function alternativesOf(
  recipe: TrainingRecipe,
  train: readonly TrainingRecord[],
  all: readonly TrainingRecord[],
): AlternativesOf | undefined {
  const { expectedReward, preference } = recipe;
  if (preference !== null) {
    const of: AlternativesOf = ({ rejected }) =>
      rejected === undefined
        ? undefined
        : { objective: 'preference', others: [rejected], rewards: [] };
    check(train, of, 'preference', preference.supervised, 'a record with an answer rejected');
    return of;
  }
  if (expectedReward === null) return undefined;
  const answersTo = closedAnswers(all);
  const of: AlternativesOf = (record) => {
    const answers = answersTo(record);
    const own = record.turns[0]?.assistant;
    if (answers === undefined || own === undefined) return undefined;
    const others = answers.filter((answer) => answer !== own);
    const rewards = rewardsOf([own, ...others], expectedReward);
    return { objective: 'expected-reward', others, rewards };
  };
  const sets = new Set(
    train.flatMap((record) => {
      const answers = answersTo(record);
      return answers === undefined ? [] : [JSON.stringify(answers)];
    }),
  );
  const asked = [...sets].map((set) => JSON.parse(set) as string[]);
  const unused = expectedReward.ordered.flatMap((list, i) =>
    asked.some((answers) => answers.every((answer) => list.includes(answer)))
      ? []
      : [`recipe.expectedReward.ordered[${i}]: no closed question has its answers in this list`],
  );
  check(train, of, 'expectedReward', expectedReward.supervised, 'a closed question', unused);
  return of;
}

function check(
  train: readonly TrainingRecord[],
  of: AlternativesOf,
  field: string,
  supervised: number,
  wanted: string,
  details: string[] = [],
): void {
  const without = train.filter((record) => of(record) === undefined).length;
  if (without === train.length) {
    details.push(`recipe.${field}: expected ${wanted}, but none of the records is one`);
  } else if (without > 0 && supervised === 0) {
    details.push(
      `recipe.${field}.supervised: ${without} of ${train.length} records are not ${wanted} and would not be learnt; expected a number above 0, or data without them`,
    );
  }
  if (details.length === 0) return;
  throw createError('FACELLM_INVALID_ARGUMENT', 'the recipe does not fit its data', { details });
}
