/** Targets and per-module overrides, matched as PEFT 0.21 matches them (spec internvl3.md, section 11.3). */
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

function select(
  modules: readonly LinearModule[],
  targets: LoraOptions['targets'],
  problems: string[],
) {
  if (targets === 'all') return modules.filter(({ part }) => part === 'text');
  if (typeof targets === 'string') {
    const expression = pattern(`^(?:${targets})$`, problems);
    return modules.filter((module) => namesOf(module).some((name) => expression?.test(name)));
  }
  for (const target of targets) {
    if (!modules.some((module) => matchesTarget(module, target))) {
      problems.push(`${target}: the model has no such module`);
    }
  }
  return modules.filter((module) => targets.some((target) => matchesTarget(module, target)));
}

/**
 * The modules that an adapter adapts, with their ranks and scales.
 *
 * @throws CheckpointError FACELLM_ADAPTER_INVALID listing every target without a module
 */
export function resolveTargets(
  config: NativeModelConfig,
  options: LoraOptions,
): readonly NativeTrainedModule[] {
  const problems: string[] = [];
  const selected = select(linearModules(config), options.targets, problems);
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
