/** Memory, as `facellm doctor` tells it: the machine's, and what a checkpoint would take of it. */
import type { NativeAddon, NativeRuntimeInfo } from '../binding/native.js';
import { readCheckpointConfig, resolveCheckpoint } from '../checkpoint/index.js';
import { FaceLlmError } from '../errors.js';
import { planCheckpoint } from '../model/checkpoint-memory.js';
import { deviceMemory, machineMemory } from '../model/device-memory.js';
import type { WeightForm } from '../model/index.js';
import type { ModelMemory } from '../model/memory-plan.js';
import { memoryLines } from './memory.js';
import type { EngineFlags } from './options.js';
import { describeError, formatBytes } from './output.js';

export interface DoctorFlags extends EngineFlags {
  readonly json?: boolean;
  readonly model?: string;
  readonly subfolder?: string;
  readonly device?: string;
  readonly dtype?: 'fp32' | 'bf16';
  readonly weights?: WeightForm;
}

export interface Finding {
  readonly name: string;
  readonly found: string;
  /** `missing` is needed, `absent` is optional. */
  readonly state: 'ok' | 'absent' | 'missing';
  readonly remedy?: string;
}

/** What the device of a model lacks for it, workspace of a step not counted; undefined: it has room. */
export function memoryLack(
  memory: ModelMemory,
  info: Pick<NativeRuntimeInfo, 'gpus'>,
  machine: { readonly total: number } = machineMemory(),
): string | undefined {
  const { weightBytes = 0, kvPoolBytes, imageCacheBytes, device } = memory;
  const needed = weightBytes + kvPoolBytes + imageCacheBytes;
  const total = deviceMemory(device, info, machine);
  if (total === undefined || needed <= total) return undefined;
  return `${formatBytes(needed)} at most, the device has ${formatBytes(total)}`;
}

export function describeMachine(): Finding {
  const { total, available } = machineMemory();
  const found = `${formatBytes(total)}, ${formatBytes(available)} of it free`;
  return { name: 'memory', found, state: 'ok' };
}

/** What a checkpoint would take, and whether the device has it. */
export async function describeModel(
  addon: NativeAddon,
  info: NativeRuntimeInfo,
  model: string,
  flags: DoctorFlags,
): Promise<Finding> {
  const name = `memory of ${model}`;
  try {
    const { subfolder, device, dtype, weights, maxContext, maxRows, kvMemory } = flags;
    const directory = await resolveCheckpoint(model, subfolder === undefined ? {} : { subfolder });
    const config = await readCheckpointConfig(directory);
    const options = { device, dtype, weights, maxContext, maxRows, kvMemory };
    const memory = await planCheckpoint(addon, directory, config, options);
    const lack = memoryLack(memory, info);
    const found = memoryLines(memory).join('; ');
    if (lack === undefined) return { name, found, state: 'ok' };
    const remedy =
      'give a smaller --kv-memory or --max-context, --dtype bf16, or a device with more memory';
    return { name, found: `${found}; ${lack}`, state: 'missing', remedy };
  } catch (error) {
    if (!(error instanceof FaceLlmError)) throw error;
    const remedy = `see docs/errors.md, ${error.code}`;
    return { name, found: describeError(error), state: 'missing', remedy };
  }
}
