/** Settings of a command line on top of a recipe. */
import { InvalidArgumentError } from '../errors.js';
import { checkRecipe } from './check-recipe.js';
import type { TrainingRecipe } from './recipe.js';

function parseValue(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text; // a word: cosine, bf16
  }
}

const GROUPS = [
  ...['lora', 'augmentation', 'validation', 'faces'],
  ...['expectedReward', 'preference', 'learningRates'],
];

/** Names of all fields, those of groups as `lora.rank`; a group that is null hides its own. */
function keysOf(recipe: TrainingRecipe): string[] {
  return Object.entries(recipe).flatMap(([key, value]) =>
    GROUPS.includes(key) && typeof value === 'object' && value !== null
      ? [key, ...Object.keys(value as object).map((own) => `${key}.${own}`)]
      : [key],
  );
}

/**
 * The recipe with `key=value` settings, values written as JSON or as plain words (`learningRate=2e-5`,
 * `schedule=linear`, `lora.rank=8`, `parts=["text","head"]`).
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT listing every wrong setting
 */
export function overrideRecipe(
  recipe: TrainingRecipe,
  settings: readonly string[],
): TrainingRecipe {
  const known = keysOf(recipe);
  const details: string[] = [];
  const changed = structuredClone(recipe) as unknown as Record<string, unknown>;
  for (const setting of settings) {
    const [, key = '', text = ''] = /^([\w.]+)=(.*)$/s.exec(setting) ?? [];
    if (!known.includes(key)) {
      details.push(`${setting}: expected key=value with one of ${known.join(', ')}`);
      continue;
    }
    const [outer = '', inner] = key.split('.');
    const target = inner === undefined ? changed : (changed[outer] as Record<string, unknown>);
    target[inner ?? outer] = parseValue(text);
  }
  if (details.length > 0) {
    throw new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', 'the settings are wrong', {
      details,
    });
  }
  return checkRecipe(changed as unknown as TrainingRecipe);
}
