/** The adapter that a run starts from: it must be what the recipe goes on with. */
import { basename, join } from 'node:path';

import type { NativeModelConfig, NativeTrainedModule } from '../binding/native.js';
import { createError } from '../errors.js';
import { sha256OfFile } from '../files/index.js';
import { ADAPTER_WEIGHTS, readAdapterConfig, resolveTargets } from '../lora/index.js';
import {
  baseWarning,
  type ModelWarning,
  type OfferedBase,
  readServingSettings,
  refuseFolded,
} from '../model/index.js';
import type { TrainingRecipe } from './recipe.js';

/** Differences told in full; of more there is a count. */
const MOST_TOLD = 50;

/**
 * @returns sha256 of its weights, which a resumed run must start from, too
 * @throws CheckpointError FACELLM_ADAPTER_INVALID listing what differs from the recipe, or if the folder
 *   holds no usable adapter; InvalidArgumentError with a recipe that trains no adapter
 */
export async function checkStartAdapter(
  directory: string,
  config: NativeModelConfig,
  recipe: TrainingRecipe,
  modules: readonly NativeTrainedModule[],
): Promise<string> {
  if (recipe.lora === null) {
    throw createError(
      'FACELLM_INVALID_ARGUMENT',
      `the recipe trains no adapter, so it cannot start from ${directory}; merge it into the base first`,
    );
  }
  const stored = await readAdapterConfig(directory);
  const differences = compare(resolveTargets(config, stored), modules);
  if (stored.usesDora !== recipe.lora.usesDora) {
    differences.unshift(
      `usesDora: the adapter has ${stored.usesDora}, the recipe ${recipe.lora.usesDora}`,
    );
  }
  if (differences.length === 0) {
    const path = join(directory, ADAPTER_WEIGHTS);
    const text = `${path} cannot be read; name the folder of a PEFT adapter`;
    return sha256OfFile(path, (cause) => createError('FACELLM_ADAPTER_INVALID', text, { cause }));
  }
  const told = differences.slice(0, MOST_TOLD);
  if (differences.length > told.length) told.push(`and ${differences.length - told.length} more`);
  throw createError(
    'FACELLM_ADAPTER_INVALID',
    `${directory} is no adapter of this recipe; set lora.rank, lora.alpha and lora.targets to the adapter's`,
    { details: told },
  );
}

/**
 * @returns what to tell where the adapter was trained upon another base than the run's
 * @throws CheckpointError FACELLM_ADAPTER_INVALID as refuseFolded(), or for a record that cannot be read
 */
export async function holdAgainstBase(
  directory: string,
  base: OfferedBase,
): Promise<ModelWarning | undefined> {
  const settings = await readServingSettings(directory, 'FACELLM_ADAPTER_INVALID');
  const name = basename(directory);
  refuseFolded(name, settings?.base, base);
  return baseWarning(name, settings?.base, base, 'train');
}

function compare(
  stored: readonly NativeTrainedModule[],
  wanted: readonly NativeTrainedModule[],
): string[] {
  const byName = new Map(stored.map((module) => [module.name, module]));
  const differences = wanted.flatMap(({ name, rank, scaling }) => {
    const own = byName.get(name);
    byName.delete(name);
    if (own === undefined) return [`${name}: the adapter does not have it`];
    const problems: string[] = [];
    if (own.rank !== rank) problems.push(`${name}: rank ${own.rank}, the recipe has ${rank}`);
    if (own.scaling !== scaling) {
      problems.push(`${name}: scale ${own.scaling}, the recipe has ${scaling}`);
    }
    return problems;
  });
  return [
    ...differences,
    ...[...byName.keys()].map((name) => `${name}: the recipe does not have it`),
  ];
}
