/** A PEFT folder to what the engine reads: every pattern resolved to modules with rank and scale. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import type { NativeAdapterSource, NativeModelConfig } from '../binding/native.js';
import { resolveCheckpoint } from '../checkpoint/index.js';
import { createError, FaceLlmError } from '../errors.js';
import { findImpostor } from '../files/index.js';
import {
  ADAPTER_CONFIG,
  ADAPTER_WEIGHTS,
  type AdapterConfig,
  readAdapterConfig,
} from './adapter-config.js';
import { resolveTargets } from './targets.js';

/**
 * The local folder of an adapter: a path, or a hub id in the local cache.
 *
 * @throws CheckpointError FACELLM_CHECKPOINT_NOT_FOUND, FACELLM_HUB_NOT_CACHED
 */
export async function resolveAdapter(folder: string): Promise<string> {
  try {
    return await resolveCheckpoint(folder);
  } catch (cause) {
    if (!(cause instanceof FaceLlmError) || cause.code !== 'FACELLM_CHECKPOINT_NOT_FOUND')
      throw cause;
    throw createError(
      cause.code,
      `there is no adapter folder ${folder}; expected one with ${ADAPTER_CONFIG} and ${ADAPTER_WEIGHTS}, or ` +
        'a hub id such as org/name',
      { cause },
    );
  }
}

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
  const impostor = await findImpostor(file);
  if (impostor !== undefined) {
    throw createError('FACELLM_ADAPTER_INVALID', `${file} ${impostor.text}`);
  }
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
