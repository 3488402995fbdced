/** This process's part in a job, or the whole of one where it is alone. */
import { availableParallelism } from 'node:os';

import type { NativeAddon, NativeProcessGroup } from '../binding/native.js';
import { settle } from '../binding/settle.js';
import { createError, FaceLlmError, fromNative, InvalidArgumentError } from '../errors.js';
import type { JobEnvironment, Variables } from './environment.js';

/** Ranks start within minutes of each other, unless a queue holds some back. */
const JOIN_TIMEOUT_SECONDS = 600;

export interface Job extends AsyncDisposable {
  readonly rank: number;
  readonly size: number;
  /** The one rank that writes files and speaks for all. */
  readonly isLeader: boolean;
  /** Undefined for a process on its own. */
  readonly group: NativeProcessGroup | undefined;
  /** Of this rank; undefined: whatever a process on its own would use. */
  readonly device: string | undefined;
  /** Element by element over all ranks; every rank calls it at the same point. */
  sum(values: readonly number[]): Promise<readonly number[]>;
  /** Ends the job on all ranks, for this reason. */
  fail(error: unknown): void;
}

export interface JoinOptions {
  readonly addon: NativeAddon;
  /** Undefined: the process is on its own. */
  readonly environment: JobEnvironment | undefined;
  readonly device: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** @default 600 */
  readonly joinTimeoutSeconds?: number | undefined;
}

function alone(device: string | undefined): Job {
  return {
    rank: 0,
    size: 1,
    isLeader: true,
    group: undefined,
    device,
    sum: (values) => Promise.resolve(values),
    fail: () => undefined,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/**
 * The device of a rank: GPU number LOCAL_RANK, or the one GPU that the launcher lets it see, or the CPU.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT for a device that all ranks would share
 * @throws DeviceError FACELLM_DEVICE_UNAVAILABLE with fewer GPUs than ranks
 */
export function deviceOfRank(
  requested: string | undefined,
  gpus: number,
  { localRank, localSize }: JobEnvironment,
): string {
  if (requested === 'cpu' || (requested === undefined && gpus === 0)) return 'cpu';
  if (requested !== undefined && requested !== 'cuda') {
    throw new InvalidArgumentError(
      'FACELLM_INVALID_ARGUMENT',
      `device ${requested} names one GPU for every rank of the job; give cuda, and each takes its own`,
    );
  }
  if (gpus === 1 && localSize === 1) return 'cuda:0';
  if (localRank < gpus) return `cuda:${localRank}`;
  throw createError(
    'FACELLM_DEVICE_UNAVAILABLE',
    `the rank with LOCAL_RANK ${localRank} sees ${gpus} GPU(s); start at most one process a GPU, or train with --device cpu`,
  );
}

/** Threads of this rank's engine, so that the ranks of a machine share its cores; undefined: leave as it is. */
export function threadsOfRank(
  requested: number | undefined,
  environment: JobEnvironment | undefined,
  variables: Variables,
): number | undefined {
  if (requested !== undefined || environment === undefined) return requested;
  if ((variables['OMP_NUM_THREADS'] ?? '') !== '') return undefined; // libtorch reads it
  return Math.max(1, Math.floor(availableParallelism() / environment.localSize));
}

/**
 * Waits until all ranks of the job have come.
 *
 * @throws TrainingError FACELLM_DISTRIBUTED: no transport in this build, no store, ranks that do not come
 */
export async function joinJob(options: JoinOptions): Promise<Job> {
  const { addon, environment, signal } = options;
  if (environment === undefined) return alone(options.device);
  const { rank, size, address, port, hostsStore, prefix } = environment;
  const { gpus } = await addon.runtimeInfo().promise;
  const device = deviceOfRank(options.device, gpus.length, environment);
  const joinTimeoutSeconds = options.joinTimeoutSeconds ?? JOIN_TIMEOUT_SECONDS;
  const request = { rank, size, address, port, hostsStore, prefix, device, joinTimeoutSeconds };
  return member(await settle(addon.joinGroup(request), signal), rank, size, device);
}

function member(group: NativeProcessGroup, rank: number, size: number, device: string): Job {
  return {
    ...{ rank, size, group, device },
    isLeader: rank === 0,
    async sum(values) {
      try {
        return await group.sum(values).promise;
      } catch (error) {
        throw fromNative(error);
      }
    },
    fail(error) {
      if (error instanceof FaceLlmError) {
        group.fail(error.code, [error.summary, ...error.details.slice(0, 5)].join('; '));
      } else group.fail('FACELLM_INTERNAL', error instanceof Error ? error.message : String(error));
    },
    async [Symbol.asyncDispose]() {
      await group.leave().promise;
    },
  };
}
