/** adapter_config.json, as PEFT 0.21 writes and reads it (docs/internvl3.md, section 11.4). */
import { join } from 'node:path';

import { z } from 'zod';

import type { NativeTrainedModule } from '../binding/native.js';
import { createError, type FaceLlmError } from '../errors.js';
import { isJsonObject, jsonFault, parseJson, readOptionalText } from '../files/index.js';
import { inMemoryName } from './modules.js';
import { peftProblems } from './peft-fields.js';
import type { LoraOptions } from './targets.js';

export const ADAPTER_CONFIG = 'adapter_config.json';
export const ADAPTER_WEIGHTS = 'adapter_model.safetensors';

export interface AdapterConfig extends LoraOptions {
  readonly dropout: number;
  readonly usesDora: boolean;
}

/** The file for an adapter on these modules; full paths, as LLaMA-Factory writes, hit no other module. */
export function adapterConfigJson(
  config: AdapterConfig,
  modules: readonly NativeTrainedModule[],
  baseModel: string | null,
): string {
  const json = {
    alpha_pattern: config.alphaPattern,
    auto_mapping: null,
    base_model_name_or_path: baseModel,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    lora_alpha: config.alpha,
    lora_dropout: config.dropout,
    modules_to_save: null,
    peft_type: 'LORA',
    r: config.rank,
    rank_pattern: config.rankPattern,
    target_modules: modules.map(({ name }) => inMemoryName(name)).sort(),
    task_type: 'CAUSAL_LM',
    use_dora: config.usesDora,
    use_rslora: config.usesRsLora,
  };
  return `${JSON.stringify(json, null, 2)}\n`;
}

const pattern = z.record(z.string(), z.number().positive()).nullish();
const names = z.union([z.string(), z.array(z.string())]).nullish();
const schema = z.object({
  peft_type: z.literal('LORA'),
  r: z.number().int().min(1),
  lora_alpha: z.number().positive(),
  lora_dropout: z.number().min(0).max(1).default(0),
  target_modules: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]),
  rank_pattern: pattern,
  alpha_pattern: pattern,
  use_rslora: z.boolean().default(false),
  use_dora: z.boolean().default(false),
  bias: z.literal('none').default('none'),
  fan_in_fan_out: z.literal(false).default(false),
  exclude_modules: names,
  layers_to_transform: z.union([z.number().int(), z.array(z.number().int())]).nullish(),
  layers_pattern: names,
});

function asList<T>(value: T | readonly T[] | null | undefined): readonly T[] {
  if (value === null || value === undefined) return [];
  return Array.isArray(value) ? (value as readonly T[]) : [value as T];
}

/**
 * Fields that change nothing are ignored; those that change the result and are not supported, and unknown ones,
 * are refused by name.
 *
 * @throws CheckpointError FACELLM_ADAPTER_INVALID listing every problem
 */
export async function readAdapterConfig(directory: string): Promise<AdapterConfig> {
  const path = join(directory, ADAPTER_CONFIG);
  const code = 'FACELLM_ADAPTER_INVALID';
  const text = await readOptionalText(path, { unreadable: code, invalid: code });
  if (text === undefined) {
    throw invalid(`there is no ${path}; name the folder of a PEFT adapter`, []);
  }
  const json = parseJson(text);
  if (!json.isValid) throw invalid(`${path} ${jsonFault(text, json.reason)}`, []);
  const parsed = schema.safeParse(json.value);
  const issues = parsed.error?.issues ?? [];
  const problems = [
    ...issues.map((issue) => `${issue.path.join('.') || 'file'}: ${issue.message}`),
    ...(isJsonObject(json.value) ? peftProblems(json.value, Object.keys(schema.shape)) : []),
  ];
  if (!parsed.success || problems.length > 0) {
    const names = [...new Set(problems.map((problem) => problem.split(':')[0]))].join(', ');
    throw invalid(
      `${path} is not that of a LoRA adapter that can be used here: ${names}`,
      problems,
    );
  }
  const value = parsed.data;
  // PEFT's own word for "every linear layer but the head"; on this model that includes the vision tower.
  const targets = value.target_modules === 'all-linear' ? '.*' : value.target_modules;
  return {
    rank: value.r,
    alpha: value.lora_alpha,
    dropout: value.lora_dropout,
    targets,
    rankPattern: value.rank_pattern ?? {},
    alphaPattern: value.alpha_pattern ?? {},
    usesRsLora: value.use_rslora,
    usesDora: value.use_dora,
    excluded: value.exclude_modules ?? undefined,
    layers: asList(value.layers_to_transform),
    layerNames: asList(value.layers_pattern),
  };
}

function invalid(message: string, details: readonly string[]): FaceLlmError {
  return createError('FACELLM_ADAPTER_INVALID', message, { details });
}
