/** What each answer to a closed question earns. */
import type { RecipeReward } from '../recipe.js';

/**
 * @param answers the true one first
 * @returns of each answer: 1 for the true one, and for others by their distance where the answers have an order
 */
export function rewardsOf(
  answers: readonly string[],
  { ordered }: Pick<RecipeReward, 'ordered'>,
): number[] {
  const order = ordered.find((list) => answers.every((answer) => list.includes(answer)));
  if (order === undefined) return answers.map((_, i) => (i === 0 ? 1 : 0));
  const places = answers.map((answer) => order.indexOf(answer));
  return places.map((place) => 1 - Math.abs(place - (places[0] ?? 0)) / (order.length - 1));
}
