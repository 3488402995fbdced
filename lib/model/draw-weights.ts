/** Random weights by the engine's own initialisation, as a recipe with `initialisation: 'random'` begins with. */
import { join } from 'node:path';

import { loadAddon } from '../binding/load.js';
import { type CheckpointConfig, dropTensor } from '../checkpoint/index.js';
import { fromNative } from '../errors.js';

const HEAD = 'language_model.lm_head.weight';

export interface DrawOptions {
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
export async function drawWeights(options: DrawOptions): Promise<number> {
  const { config, tiesEmbeddings, directory, signal } = options;
  const file = join(directory, 'model.safetensors');
  const parameters = await saveDrawn(options, file);
  if (!tiesEmbeddings) return parameters;
  signal?.throwIfAborted();
  await dropTensor(file, HEAD);
  const { vocabSize, hiddenSize } = config.model.text;
  return parameters - vocabSize * hiddenSize;
}

/** A trainer is what can draw weights and save them; it is never used to train. */
async function saveDrawn({ config, seed, signal }: DrawOptions, file: string): Promise<number> {
  const job = loadAddon().createTrainer(
    {
      load: {
        config: config.model,
        preprocessing: config.preprocessing,
        files: [],
        weightMap: [],
        device: 'cpu',
        dtype: 'fp32',
        imageCacheBytes: 0,
        prefixCacheBytes: 0,
      },
      initialisesRandomly: true,
      modules: [],
      parts: ['head'],
      usesDora: false,
      dropout: 0,
      adapterFile: '',
      seed,
      beta1: 0.9,
      beta2: 0.999,
      eps: 1e-8,
      weightDecay: 0,
      decaysVectors: false,
      checkpointsActivations: false,
      shardsWeights: false,
      lossChunkRows: 0,
      featureCacheBytes: 0,
    },
    () => undefined,
  );
  const cancel = (): void => job.cancel();
  signal?.addEventListener('abort', cancel, { once: true });
  try {
    const trainer = await job.promise;
    try {
      signal?.throwIfAborted();
      await trainer.saveWeights(file).promise;
      return trainer.info().model.parameterCount;
    } finally {
      await trainer.dispose().promise;
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw fromNative(error);
  } finally {
    signal?.removeEventListener('abort', cancel);
  }
}
