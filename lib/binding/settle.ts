/** A native job as a promise that an AbortSignal ends. */
import { fromNative } from '../errors.js';
import type { NativeJob } from './native-job.js';

/**
 * What the job resolves to. An abort cancels it and is thrown as the signal's own reason.
 *
 * @throws FaceLlmError what the engine reports
 */
export async function settle<T>(job: NativeJob<T>, signal: AbortSignal | undefined): Promise<T> {
  const cancel = (): void => job.cancel();
  signal?.addEventListener('abort', cancel, { once: true });
  if (signal?.aborted === true) cancel();
  try {
    return await job.promise;
  } catch (error) {
    signal?.throwIfAborted();
    throw fromNative(error);
  } finally {
    signal?.removeEventListener('abort', cancel);
  }
}
