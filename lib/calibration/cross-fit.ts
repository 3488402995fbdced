/**
 * Temperatures that an item's own label had no part in: items are dealt into folds, and each fold is scaled by what the
 * others fit. Figures on them are honest; the temperature that is kept is fitted on all.
 */
import { sha256 } from '../files/index.js';
import { fitTemperature, type LabelledScores } from './temperature.js';

export const DEFAULT_FOLDS = 5;

/** The fold of a unit whose items must stay together, such as a picture's: by its name alone, so that more data moves nothing. */
export function foldOf(unit: string, folds: number, seed: number): number {
  return Number.parseInt(sha256(`${seed} ${unit}`).slice(0, 12), 16) % folds;
}

/** Of each item, in their order: the temperature that the items of all other folds fit. */
export function crossFitted(
  items: readonly (LabelledScores & { readonly unit: string })[],
  folds: number,
  seed: number,
): readonly number[] {
  const places = items.map(({ unit }) => foldOf(unit, folds, seed));
  const temperatures = Array.from({ length: folds }, (_, fold) =>
    places.includes(fold)
      ? fitTemperature(items.filter((__, i) => places[i] !== fold)).temperature
      : 1,
  );
  return places.map((fold) => temperatures[fold] ?? 1);
}
