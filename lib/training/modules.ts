/** The modules that a recipe's LoRA adapts: its targets, and whole parts with a rank of their own. */
import type { NativeModelConfig, NativeTrainedModule } from '../binding/native.js';
import { createError } from '../errors.js';
import { type LoraOptions, linearModules, resolveTargets } from '../lora/index.js';
import type { RecipeLora, TrainingRecipe } from './recipe.js';

const PREFIXES = { vision: 'vision_tower', projector: 'multi_modal_projector' } as const;

/** The same in PEFT's terms, which an adapter's config has: every module by name, own ranks as patterns. */
export function loraInPeftTerms<T extends RecipeLora>(
  lora: T,
  config: NativeModelConfig,
): T & LoraOptions {
  const own = (['vision', 'projector'] as const).flatMap((part) => {
    const values = lora[part];
    return values === null ? [] : [{ part, ...values }];
  });
  if (own.length === 0) return lora;
  const names = new Set([
    ...resolveTargets(config, lora).map(({ name }) => name),
    ...linearModules(config)
      .filter(({ part }) => own.some((one) => one.part === part))
      .map(({ name }) => name),
  ]);
  // The first pattern that matches counts, for PEFT as for us: a layer's own before its part's.
  const patterns = (key: 'rank' | 'alpha', layers: Readonly<Record<string, number>>) => {
    const parts = own.map((one) => [`${PREFIXES[one.part]}\\..*`, one[key]] as const);
    return { ...layers, ...Object.fromEntries(parts), ...layers };
  };
  return {
    ...lora,
    targets: [...names],
    rankPattern: patterns('rank', lora.rankPattern),
    alphaPattern: patterns('alpha', lora.alphaPattern),
  };
}

/**
 * Empty for full fine-tuning.
 *
 * @throws CheckpointError FACELLM_ADAPTER_INVALID as resolveTargets; InvalidArgumentError for a learning rate of a part
 *   that no module belongs to, or of a head that is tied to the text's embedding
 */
export function trainedModules(
  config: NativeModelConfig,
  { lora, learningRates }: TrainingRecipe,
): readonly NativeTrainedModule[] {
  if (lora === null) {
    if (config.tiesEmbeddings && learningRates.head !== undefined) {
      throw createError(
        'FACELLM_INVALID_ARGUMENT',
        "recipe.learningRates.head: this model's head is its text's embedding, one tensor, which learns at the rate of text; set learningRates.text",
      );
    }
    return [];
  }
  const modules = resolveTargets(config, loraInPeftTerms(lora, config));
  const partOf = new Map(linearModules(config).map(({ name, part }) => [name, part as string]));
  const trained = new Set(modules.map(({ name }) => partOf.get(name)));
  const details = Object.keys(learningRates)
    .filter((part) => !trained.has(part))
    .map((part) => `recipe.learningRates.${part}: lora adapts no module of this part`);
  if (details.length === 0) return modules;
  throw createError(
    'FACELLM_INVALID_ARGUMENT',
    'the recipe has rates of parts that it does not train; adapt them (lora.vision, lora.projector, lora.targets), or leave the rates out',
    { details },
  );
}
