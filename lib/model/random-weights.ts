/** Random weights, drawn and written by the engine. */
import { join } from 'node:path';

import { loadAddon } from '../binding/load.js';
import { settle } from '../binding/settle.js';
import type { CheckpointConfig } from '../checkpoint/index.js';

export interface RandomWeightsOptions {
  readonly config: CheckpointConfig;
  readonly seed: number;
  /** Leaves out the head, which then is the embedding; it is drawn last, so all else stays as it is. */
  readonly tiesEmbeddings: boolean;
  /** Exists. */
  readonly directory: string;
  readonly signal: AbortSignal | undefined;
}

/**
 * Writes model.safetensors in fp32; one seed gives one file on every machine.
 *
 * @returns the number of parameters in it
 * @throws FaceLlmError what the engine throws, FACELLM_OUT_OF_MEMORY and FACELLM_RUN_WRITE among it
 */
export async function writeRandomWeights(options: RandomWeightsOptions): Promise<number> {
  const { config, seed, tiesEmbeddings, directory, signal } = options;
  const file = join(directory, 'model.safetensors');
  const job = loadAddon().writeRandomCheckpoint({
    config: config.model,
    hasHead: !tiesEmbeddings,
    seed,
    file,
  });
  return settle(job, signal);
}
