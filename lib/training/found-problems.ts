/** Checks that do not need one another: what each of them finds is told in one error, so that nothing is met only when all else is mended. */
import { createError, type ErrorCode, FaceLlmError } from '../errors.js';

/** No problem of what was given: an end that was asked for, and faults of ours or of the machine. */
const NOT_GIVEN: readonly ErrorCode[] = [
  ...(['FACELLM_CANCELLED', 'FACELLM_INTERNAL', 'FACELLM_DISPOSED'] as const),
  ...(['FACELLM_OUT_OF_MEMORY', 'FACELLM_DEVICE_LOST'] as const),
];

export class FoundProblems {
  readonly #found: FaceLlmError[] = [];

  /** @returns undefined where it failed with a problem, which is kept; other errors are thrown */
  async try<T>(check: () => T | Promise<T>): Promise<T | undefined> {
    try {
      return await check();
    } catch (error) {
      if (!(error instanceof FaceLlmError) || NOT_GIVEN.includes(error.code)) throw error;
      this.#found.push(error);
      return undefined;
    }
  }

  /** @throws FaceLlmError the only one, or one with the code of the first that has the texts and details of all, and all as its cause */
  throwAll(): void {
    const [first, ...others] = this.#found;
    if (first === undefined) return;
    if (others.length === 0) throw first;
    const summary = this.#found.map((error) => error.summary).join('; and ');
    const details = this.#found.flatMap((error) => error.details);
    throw createError(first.code, summary, { details, cause: new AggregateError(this.#found) });
  }
}
