/** Checks that do not need one another: what each of them finds is told in one error, so that nothing is met only when all else is mended. */
import { createError, FaceLlmError } from '../errors.js';

export class FoundProblems {
  readonly #found: FaceLlmError[] = [];

  /** @returns undefined where it failed with a problem, which is kept; faults of ours and an end that was asked for are thrown */
  async try<T>(check: () => T | Promise<T>): Promise<T | undefined> {
    try {
      return await check();
    } catch (error) {
      if (!(error instanceof FaceLlmError) || error.code === 'FACELLM_CANCELLED') throw error;
      this.#found.push(error);
      return undefined;
    }
  }

  /** @throws FaceLlmError the only one, or one with the code of the first that has the texts and details of all */
  throwAll(): void {
    const [first, ...others] = this.#found;
    if (first === undefined) return;
    if (others.length === 0) throw first;
    const summary = this.#found.map((error) => error.summary).join('; and ');
    const details = this.#found.flatMap((error) => error.details);
    throw createError(first.code, summary, { details, cause: first });
  }
}
