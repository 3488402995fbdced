/**
 * The only place that loads the native addon: lazily, on first use, once per thread. What was looked
 * for, where, and the command that mends it are part of every failure.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { NativeLoadError } from '../errors.js';
import type { NativeAddon } from './native.js';

// lib/binding when run from source, dist/binding when installed: the package is two levels up.
const PACKAGE_ROOT: string = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

let loaded: NativeAddon | undefined;

/** Every place where the addon may lie, in order. `FACELLM_ADDON` names a file and wins. */
export function addonPaths(env: NodeJS.ProcessEnv = process.env): readonly string[] {
  const built = join(PACKAGE_ROOT, 'build', 'Release', 'facellm.node');
  return env['FACELLM_ADDON'] ? [env['FACELLM_ADDON']] : [built];
}

/**
 * Loads the addon, or returns the one already loaded.
 *
 * @throws NativeLoadError FACELLM_NATIVE_NOT_BUILT or FACELLM_NATIVE_LOAD
 */
export function loadAddon(): NativeAddon {
  if (loaded !== undefined) return loaded;
  // libgomp's threads spin at barriers and fight whoever else wants the cores, the event loop among them: on a busy
  // machine ten times as many cost five times the time, on a quiet one nothing is gained (docs/performance.md). It
  // reads this once, when libtorch is loaded.
  process.env['GOMP_SPINCOUNT'] ??= '1000';
  // NCCL's watchdog would end the whole process without a word of ours; a group's own watcher aborts instead. Set
  // here, where no thread of the engine reads the environment yet.
  process.env['TORCH_NCCL_ASYNC_ERROR_HANDLING'] ??= '0';
  const paths = addonPaths();
  const path = paths.find((candidate) => existsSync(candidate));
  if (path === undefined) {
    throw new NativeLoadError(
      'FACELLM_NATIVE_NOT_BUILT',
      'The native addon of facellm has not been built (install scripts may be blocked). ' +
        'Run `npx facellm build`.',
      { details: paths.map((candidate) => `${candidate}: not there`) },
    );
  }
  try {
    loaded = createRequire(import.meta.url)(path) as NativeAddon;
    return loaded;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new NativeLoadError(
      'FACELLM_NATIVE_LOAD',
      'The native addon of facellm cannot be loaded; the libtorch that it was built against may ' +
        'have moved or changed. Run `npx facellm build`, then `npx facellm doctor`.',
      { details: [`${path}: ${reason}`], cause },
    );
  }
}
