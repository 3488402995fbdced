/** Targets and per-module overrides, matched as PEFT 0.21 matches them (docs/internvl3.md, section 11.3). */
import type { NativeModelConfig, NativeTrainedModule } from '../binding/native.js';
import { createError, type FaceLlmError } from '../errors.js';
import { inMemoryName, type LinearModule, linearModules } from './modules.js';

export interface LoraOptions {
  readonly rank: number;
  readonly alpha: number;
  /** `all`: every projection of every text layer; a list of names or suffixes; or one pattern. */
  readonly targets: string | readonly string[];
  readonly rankPattern: Readonly<Record<string, number>>;
  readonly alphaPattern: Readonly<Record<string, number>>;
  readonly usesRsLora: boolean;
  /** PEFT's exclude_modules: names and suffixes, or one pattern. */
  readonly excluded?: string | readonly string[] | undefined;
  /** PEFT's layers_to_transform: of modules matched by suffix, only those in these layers. */
  readonly layers?: readonly number[] | undefined;
  /** PEFT's layers_pattern: what stands before a layer's number. @default anything */
  readonly layerNames?: readonly string[] | undefined;
}

export interface ResolveOptions {
  /** Listed targets without a module are no fault as long as others have one, as in PEFT. */
  readonly allowsUnmatched?: boolean;
}

function pattern(source: string, problems: string[]): RegExp | undefined {
  try {
    return new RegExp(source);
  } catch {
    problems.push(`${source}: not a regular expression`);
    return undefined;
  }
}

function namesOf({ name }: LinearModule): readonly string[] {
  return [inMemoryName(name), name];
}

function matchesTarget(module: LinearModule, target: string): boolean {
  return namesOf(module).some((name) => name === target || name.endsWith(`.${target}`));
}

/** PEFT's get_pattern_key: a key matches the end of a name, after a dot. */
function overrideOf(
  module: LinearModule,
  patterns: Readonly<Record<string, number>>,
  problems: string[],
): number | undefined {
  for (const [key, value] of Object.entries(patterns)) {
    const expression = pattern(`^(?:.*\\.)?(?:${key})$`, problems);
    if (expression !== undefined && namesOf(module).some((name) => expression.test(name))) {
      return value;
    }
  }
  return undefined;
}

/** PEFT's layers_to_transform: the number after the (last) layer name of the path. */
function isInLayers(module: LinearModule, options: LoraOptions, problems: string[]): boolean {
  const { layers = [], layerNames = [] } = options;
  if (layers.length === 0) return true;
  const names = layerNames.length === 0 ? ['[^.]*'] : layerNames;
  for (const name of names) {
    const expression = pattern(`^.*\\.${name}\\.(\\d+)\\.`, problems);
    const match = expression?.exec(inMemoryName(module.name));
    if (match) return layers.includes(Number(match[1]));
  }
  return false;
}

function isExcluded(module: LinearModule, options: LoraOptions, problems: string[]): boolean {
  const { excluded = [] } = options;
  if (typeof excluded !== 'string') return excluded.some((target) => matchesTarget(module, target));
  const expression = pattern(`^(?:${excluded})$`, problems);
  return namesOf(module).some((name) => expression?.test(name));
}

function select(
  modules: readonly LinearModule[],
  options: LoraOptions,
  allowsUnmatched: boolean,
  problems: string[],
): readonly LinearModule[] {
  const { targets } = options;
  if (targets === 'all') return modules.filter(({ part }) => part === 'text');
  const candidates = modules.filter((module) => !isExcluded(module, options, problems));
  if (typeof targets === 'string') {
    const expression = pattern(`^(?:${targets})$`, problems);
    return candidates.filter((module) => namesOf(module).some((name) => expression?.test(name)));
  }
  for (const target of targets) {
    if (!allowsUnmatched && !modules.some((module) => matchesTarget(module, target))) {
      problems.push(`${target}: the model has no such module`);
    }
  }
  return candidates.filter((module) =>
    targets.some(
      (target) =>
        namesOf(module).includes(target) ||
        (matchesTarget(module, target) && isInLayers(module, options, problems)),
    ),
  );
}

/**
 * The modules that an adapter adapts, with their ranks and scales.
 *
 * @throws CheckpointError FACELLM_ADAPTER_INVALID listing every target without a module
 */
export function resolveTargets(
  config: NativeModelConfig,
  options: LoraOptions,
  { allowsUnmatched = false }: ResolveOptions = {},
): readonly NativeTrainedModule[] {
  const problems: string[] = [];
  const selected = select(linearModules(config), options, allowsUnmatched, problems);
  const resolved = selected.map((module): NativeTrainedModule => {
    const rank = overrideOf(module, options.rankPattern, problems) ?? options.rank;
    const alpha = overrideOf(module, options.alphaPattern, problems) ?? options.alpha;
    return {
      name: module.name,
      rank,
      scaling: options.usesRsLora ? alpha / Math.sqrt(rank) : alpha / rank,
    };
  });
  if (resolved.length === 0) problems.push(`${String(options.targets)}: no module matches`);
  if (problems.length > 0) throw noSuchModule([...new Set(problems)]);
  return resolved;
}

function noSuchModule(details: readonly string[]): FaceLlmError {
  return createError(
    'FACELLM_ADAPTER_INVALID',
    `the targets do not fit the model: expected 'all', names or suffixes such as q_proj or ` +
      'model.language_model.layers.0.mlp.up_proj, or one pattern',
    { details },
  );
}
