/** How much memory devices have. */
import { totalmem } from 'node:os';

import type { NativeRuntimeInfo } from '../binding/native.js';

/** Bytes that processes of this machine, or of its container, may have, and those that are free. */
export function machineMemory(): { readonly total: number; readonly available: number } {
  // Unlimited containers tell a number beyond any memory.
  const total = Math.min(totalmem(), process.constrainedMemory() || Infinity);
  return { total, available: Math.min(process.availableMemory(), total) };
}

/** Of `cpu`, `cuda` or `cuda:N`; undefined: there is no such device. */
export function deviceMemory(
  device: string,
  { gpus }: Pick<NativeRuntimeInfo, 'gpus'>,
  machine: { readonly total: number } = machineMemory(),
): number | undefined {
  if (device === 'cpu') return machine.total;
  return gpus[Number(device.split(':')[1] ?? 0)]?.memoryBytes;
}
