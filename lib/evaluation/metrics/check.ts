/** What the figures of this room demand of their input; every problem becomes one error. */
import { createError } from '../../errors.js';

/** A whole number from 0. */
export function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT listing `problems`, if there are any */
export function refuse(name: string, problems: readonly string[]): void {
  if (problems.length === 0) return;
  throw createError(
    'FACELLM_INVALID_ARGUMENT',
    `${name} got ${problems.length} invalid value(s): ${problems.slice(0, 3).join('; ')}`,
    { details: problems },
  );
}
