/** A PEFT folder to what the engine reads: every pattern resolved to modules with rank and scale. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import type { NativeAdapterSource, NativeModelConfig } from '../binding/native.js';
import { createError } from '../errors.js';
import { ADAPTER_WEIGHTS, type AdapterConfig, readAdapterConfig } from './adapter-config.js';
import { resolveTargets } from './targets.js';

export interface AdapterFiles {
  readonly config: AdapterConfig;
  readonly source: NativeAdapterSource;
}

/**
 * Reads adapter_config.json and finds the weights; their tensors are checked by the engine.
 *
 * @param scale multiplies the adapter's own alpha / rank
 * @throws CheckpointError FACELLM_ADAPTER_INVALID
 */
export async function readAdapter(
  directory: string,
  model: NativeModelConfig,
  scale = 1,
): Promise<AdapterFiles> {
  const config = await readAdapterConfig(directory);
  const file = join(directory, ADAPTER_WEIGHTS);
  await stat(file).catch((cause: unknown) => {
    throw createError(
      'FACELLM_ADAPTER_INVALID',
      `there is no ${file}; expected PEFT's safetensors form (an adapter_model.bin must be saved anew)`,
      { cause },
    );
  });
  const modules = resolveTargets(model, config, { allowsUnmatched: true });
  return {
    config,
    source: {
      file,
      modules: modules.map((module) => ({ ...module, scaling: module.scaling * scale })),
      usesDora: config.usesDora,
    },
  };
}
