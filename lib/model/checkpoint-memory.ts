/** What a checkpoint will take of a device, from its configuration and its files' sizes; no weight is read. */
import type { NativeAddon } from '../binding/native.js';
import { type CheckpointConfig, readCheckpointFiles } from '../checkpoint/index.js';
import { FaceLlmError } from '../errors.js';
import { deviceMemory } from './device-memory.js';
import { defaultDevice, defaultDtype, type LoadOptions, storedWeights, weightsOf } from './load.js';
import { describeMemory, type ModelMemory, planMemory } from './memory-plan.js';
import { weightBytes } from './weight-bytes.js';

const NUMBER_BYTES = { fp32: 4, bf16: 2, fp16: 2 } as const;

/**
 * As loading it with these options would plan. Weights that are not there are left out.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT where one request of maxContext does not fit; CheckpointError
 */
export async function planCheckpoint(
  addon: NativeAddon,
  directory: string,
  config: CheckpointConfig,
  options: LoadOptions,
): Promise<ModelMemory> {
  const device = options.device ?? (await defaultDevice(addon));
  const dtype = options.dtype ?? defaultDtype(config);
  const { text } = config.model;
  const deviceBytes = deviceMemory(device, await addon.runtimeInfo().promise);
  const plan = planMemory(text, dtype, device, options, deviceBytes);
  const stored = await readCheckpointFiles(directory).catch((error: unknown) => {
    if (error instanceof FaceLlmError && error.code === 'FACELLM_CHECKPOINT_NOT_FOUND')
      return undefined;
    throw error;
  });
  // Headers of the files are some ten thousandths of them.
  const share = NUMBER_BYTES[dtype] / NUMBER_BYTES[config.dtype];
  const kept = (weights: LoadOptions['weights']): number =>
    weightBytes(config.model, NUMBER_BYTES[dtype], weightsOf(config, weights));
  const saved = kept('stored') - kept(options.weights);
  // The size of quantised files says nothing of what they become.
  const whole =
    config.quantisation === undefined
      ? Math.round((stored?.totalBytes ?? 0) * share)
      : kept('stored');
  const bytes = stored === undefined ? undefined : whole - saved;
  return {
    ...describeMemory(text, { dtype, device }, plan, bytes),
    ...storedWeights(config, options.weights),
  };
}
