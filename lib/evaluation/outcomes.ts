/** What models answered, held against what was asked. */
import { createError } from '../errors.js';
import type { EvaluationItem, ItemOutcome, ModelRun } from './types.js';

function outcomeProblem(
  item: EvaluationItem,
  outcome: ItemOutcome | undefined,
): string | undefined {
  if (outcome?.id !== item.id) {
    return `expected the outcome of ${item.id}, got ${outcome === undefined ? 'none' : `that of ${outcome.id}`}`;
  }
  const { probabilities } = outcome;
  if (probabilities === undefined) return undefined;
  const isWhole =
    probabilities.length === item.choices.length &&
    probabilities.every((probability) => probability >= 0 && probability <= 1);
  if (isWhole) return undefined;
  return `${item.id}: expected ${item.choices.length} probabilities, got ${JSON.stringify(probabilities)}`;
}

const MAX_DETAILS = 100;

/**
 * Makes sure that each run answers all items, in their order.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT listing what does not fit
 */
export function checkRuns(items: readonly EvaluationItem[], runs: readonly ModelRun[]): void {
  const problems: string[] = [];
  if (runs.length === 0) problems.push('expected at least one run');
  const names = runs.map(({ name }) => name);
  for (const name of new Set(names.filter((word, i) => names.indexOf(word) !== i))) {
    problems.push(`two runs are named ${name}`);
  }
  for (const { name, outcomes } of runs) {
    if (outcomes.length > items.length) {
      problems.push(`run ${name}: ${outcomes.length} outcomes for ${items.length} items`);
    }
    for (const [i, item] of items.entries()) {
      const problem = outcomeProblem(item, outcomes[i]);
      if (problem !== undefined) problems.push(`run ${name}: ${problem}`);
    }
  }
  if (problems.length === 0) return;
  const more = problems.length - MAX_DETAILS;
  throw createError('FACELLM_INVALID_ARGUMENT', 'the runs do not fit the benchmark', {
    details: more > 0 ? [...problems.slice(0, MAX_DETAILS), `and ${more} more`] : problems,
  });
}

/** Index of the most probable choice, the first among equals; undefined without probabilities. */
export function mostProbable({ probabilities }: ItemOutcome): number | undefined {
  if (probabilities === undefined) return undefined;
  return probabilities.indexOf(Math.max(...probabilities));
}
