/**
 * Every error that facellm throws on purpose. `code` is stable and is what programs should test;
 * messages are for people and may change. docs/errors.md lists cause and remedy of each; the native
 * table (native/core/error.cpp) is the first part of this one (test/contract/errors.test.ts).
 */

export const ERROR_CODES = [
  // raised by the engine and by TypeScript
  'FACELLM_INVALID_ARGUMENT',
  'FACELLM_CHECKPOINT_NOT_FOUND',
  'FACELLM_CHECKPOINT_INVALID',
  'FACELLM_IMAGE_TOO_LARGE',
  'FACELLM_PROMPT_TOO_LONG',
  'FACELLM_IMAGE_TOKEN_MISMATCH',
  'FACELLM_NON_FINITE',
  'FACELLM_DEVICE_NO_CUDA',
  'FACELLM_DEVICE_UNAVAILABLE',
  'FACELLM_OUT_OF_MEMORY',
  'FACELLM_CANCELLED',
  'FACELLM_DISPOSED',
  'FACELLM_INTERNAL',
  'FACELLM_ADAPTER_INVALID',
  'FACELLM_LOSS_NON_FINITE',
  'FACELLM_RUN_WRITE',
  'FACELLM_DISTRIBUTED',
  'FACELLM_DEVICE_LOST',
  'FACELLM_NOT_DETERMINISTIC',
  // raised by TypeScript only
  'FACELLM_DATA_NOT_FOUND',
  'FACELLM_DATA_INVALID',
  'FACELLM_RUN_INVALID',
  'FACELLM_TEACHER_FAILED',
  'FACELLM_NATIVE_NOT_BUILT',
  'FACELLM_NATIVE_LOAD',
  'FACELLM_LIBTORCH_NOT_FOUND',
  'FACELLM_BUILD_FAILED',
  'FACELLM_HUB_NOT_CACHED',
  'FACELLM_CONFIG_INVALID',
  'FACELLM_TOKENIZER_INVALID',
  'FACELLM_TEMPLATE_INVALID',
  'FACELLM_IMAGE_NOT_FOUND',
  'FACELLM_IMAGE_INVALID',
  'FACELLM_PACKAGE_MISSING',
  'FACELLM_DOWNLOAD_REFUSED',
  'FACELLM_DOWNLOAD_FAILED',
  'FACELLM_DOWNLOAD_CORRUPT',
  'FACELLM_DOWNLOAD_WRITE',
  'FACELLM_QUESTIONS_INVALID',
  'FACELLM_NO_FACE',
  'FACELLM_CALIBRATION_INVALID',
  'FACELLM_CALIBRATION_MISMATCH',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

export interface FaceLlmErrorOptions {
  /** Every single problem, where there are several. */
  readonly details?: readonly string[];
  readonly cause?: unknown;
}

/** Names the first problem, unless it is named already: a message is often all that a log shows of an error. */
function withFirst(summary: string, [first, ...others]: readonly string[]): string {
  if (first === undefined || summary.includes(first)) return summary;
  const count = others.length === 0 ? '' : `; the first of ${others.length + 1}`;
  return `${summary}${count}: ${first}`;
}

/** Base of all errors of this package. */
export class FaceLlmError extends Error {
  override readonly name: string = 'FaceLlmError';
  readonly code: ErrorCode;
  readonly details: readonly string[];
  /** The message without the first of `details`, for those who show all of them. */
  readonly summary: string;

  constructor(code: ErrorCode, summary: string, options: FaceLlmErrorOptions = {}) {
    const { details = [], cause } = options;
    super(withFirst(summary, details), cause === undefined ? undefined : { cause });
    this.code = code;
    this.details = details;
    this.summary = summary;
  }
}

/** An argument outside its contract, thrown before any work starts. */
export class InvalidArgumentError extends FaceLlmError {
  override readonly name = 'InvalidArgumentError';
}
/** A checkpoint, its config, tokenizer or template is absent or wrong. */
export class CheckpointError extends FaceLlmError {
  override readonly name = 'CheckpointError';
}
/** A picture cannot be read, is too large, or does not fit its prompt. */
export class ImageError extends FaceLlmError {
  override readonly name = 'ImageError';
}
/** No such device, no driver, no CUDA in this build, or memory ran out. */
export class DeviceError extends FaceLlmError {
  override readonly name = 'DeviceError';
}
/** Stopped by the caller. */
export class CancelledError extends FaceLlmError {
  override readonly name = 'CancelledError';
}
/** Used after `dispose()`. */
export class DisposedError extends FaceLlmError {
  override readonly name = 'DisposedError';
}
/** The addon is not built, or cannot be loaded. */
export class NativeLoadError extends FaceLlmError {
  override readonly name = 'NativeLoadError';
}
/** Training data that are absent or wrong. */
export class DataError extends FaceLlmError {
  override readonly name = 'DataError';
}
/** A training run cannot go on: its folder, its numbers or its processes. */
export class TrainingError extends FaceLlmError {
  override readonly name = 'TrainingError';
}
/** A teacher takes no questions: its key, its model, or it cannot be reached. */
export class TeacherError extends FaceLlmError {
  override readonly name = 'TeacherError';
}
/** A package that this use needs is not installed. */
export class MissingPackageError extends FaceLlmError {
  override readonly name = 'MissingPackageError';
}
/** Something could not be fetched: refused, unreachable, damaged on its way, or there is no room for it. */
export class DownloadError extends FaceLlmError {
  override readonly name = 'DownloadError';
}
/** A fault of ours; please report it. */
export class InternalError extends FaceLlmError {
  override readonly name = 'InternalError';
}

const CLASS_OF: { readonly [code in ErrorCode]: typeof FaceLlmError } = {
  FACELLM_INVALID_ARGUMENT: InvalidArgumentError,
  FACELLM_CHECKPOINT_NOT_FOUND: CheckpointError,
  FACELLM_CHECKPOINT_INVALID: CheckpointError,
  FACELLM_IMAGE_TOO_LARGE: ImageError,
  FACELLM_PROMPT_TOO_LONG: InvalidArgumentError,
  FACELLM_IMAGE_TOKEN_MISMATCH: ImageError,
  FACELLM_NON_FINITE: CheckpointError,
  FACELLM_DEVICE_NO_CUDA: DeviceError,
  FACELLM_DEVICE_UNAVAILABLE: DeviceError,
  FACELLM_DEVICE_LOST: DeviceError,
  FACELLM_NOT_DETERMINISTIC: DeviceError,
  FACELLM_OUT_OF_MEMORY: DeviceError,
  FACELLM_CANCELLED: CancelledError,
  FACELLM_DISPOSED: DisposedError,
  FACELLM_INTERNAL: InternalError,
  FACELLM_ADAPTER_INVALID: CheckpointError,
  FACELLM_LOSS_NON_FINITE: TrainingError,
  FACELLM_RUN_WRITE: TrainingError,
  FACELLM_DISTRIBUTED: TrainingError,
  FACELLM_DATA_NOT_FOUND: DataError,
  FACELLM_DATA_INVALID: DataError,
  FACELLM_RUN_INVALID: TrainingError,
  FACELLM_TEACHER_FAILED: TeacherError,
  FACELLM_NATIVE_NOT_BUILT: NativeLoadError,
  FACELLM_NATIVE_LOAD: NativeLoadError,
  FACELLM_LIBTORCH_NOT_FOUND: NativeLoadError,
  FACELLM_BUILD_FAILED: NativeLoadError,
  FACELLM_HUB_NOT_CACHED: CheckpointError,
  FACELLM_CONFIG_INVALID: CheckpointError,
  FACELLM_TOKENIZER_INVALID: CheckpointError,
  FACELLM_TEMPLATE_INVALID: CheckpointError,
  FACELLM_IMAGE_NOT_FOUND: ImageError,
  FACELLM_IMAGE_INVALID: ImageError,
  FACELLM_PACKAGE_MISSING: MissingPackageError,
  FACELLM_DOWNLOAD_REFUSED: DownloadError,
  FACELLM_DOWNLOAD_FAILED: DownloadError,
  FACELLM_DOWNLOAD_CORRUPT: DownloadError,
  FACELLM_DOWNLOAD_WRITE: DownloadError,
  FACELLM_QUESTIONS_INVALID: DataError,
  FACELLM_NO_FACE: ImageError,
  FACELLM_CALIBRATION_INVALID: DataError,
  FACELLM_CALIBRATION_MISMATCH: DataError,
};

/** Builds the class that belongs to `code`. */
export function createError(
  code: ErrorCode,
  message: string,
  options: FaceLlmErrorOptions = {},
): FaceLlmError {
  return new CLASS_OF[code](code, message, options);
}

function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && (ERROR_CODES as readonly string[]).includes(value);
}

/**
 * Turns what the addon rejects with (an Error with `code` and `details`) into our classes. What has no code of ours was
 * thrown by a callback of the caller's and stays what it is.
 */
export function fromNative(error: unknown): Error {
  if (error instanceof FaceLlmError) return error;
  const { code, message, details } = (error ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof code !== 'string' || !code.startsWith('FACELLM_')) return error as Error;
  return createError(isErrorCode(code) ? code : 'FACELLM_INTERNAL', String(message), {
    details: Array.isArray(details) ? details.map(String) : [],
    cause: error,
  });
}
