/** The built-in detector, loaded once for each thread of JavaScript. Its weights come with the package. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { loadAddon } from '../binding/load.js';
import type { NativeAddon, NativeFaceDetector } from '../binding/native.js';
import { createError, fromNative } from '../errors.js';

// lib/faces when run from source, dist/faces when installed: the package is two levels up.
const PACKAGE_ROOT: string = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export interface BuiltInDetector {
  readonly addon: NativeAddon;
  readonly native: NativeFaceDetector;
  /** sha256 of each weight file. */
  readonly weights: Readonly<Record<string, string>>;
}

let loading: Promise<BuiltInDetector> | undefined;

async function load(): Promise<BuiltInDetector> {
  const addon = loadAddon();
  const file = (network: string): string =>
    join(PACKAGE_ROOT, 'dist', 'faces', `${network}.safetensors`);
  const hashOf = async (network: string): Promise<string> => {
    const path = file(network);
    const bytes = await readFile(path).catch((cause: unknown) => {
      const message =
        `the face detector's weights are not there: ${path}; install the package again, or, in a clone of its ` +
        'repository, run node scripts/face-weights.mjs';
      throw createError('FACELLM_CHECKPOINT_NOT_FOUND', message, { cause });
    });
    return createHash('sha256').update(bytes).digest('hex');
  };
  const [short, full] = await Promise.all([hashOf('short'), hashOf('full')]);
  try {
    const native = await addon.loadFaceDetector(file('short'), file('full')).promise;
    return { addon, native, weights: { short, full } };
  } catch (error) {
    throw fromNative(error);
  }
}

/** @throws CheckpointError FACELLM_CHECKPOINT_NOT_FOUND, FACELLM_CHECKPOINT_INVALID; NativeLoadError */
export function builtInDetector(): Promise<BuiltInDetector> {
  loading ??= load().catch((error: unknown) => {
    loading = undefined; // what is missing may come
    throw error;
  });
  return loading;
}
