/** What a caller may say about a run, checked before anything starts. */
import { createError } from '../../errors.js';
import { received } from '../../options/describe.js';
import type { ReadLabelsOptions } from '../labels/read-labels.js';
import type { PromptSet } from '../prompts/index.js';
import type { Teacher } from '../teachers/teacher.js';
import type { RateLimits } from './limiter.js';

export interface BatchOptions {
  /** Between two looks at a batch, in milliseconds. @default 60000 */
  readonly pollMs?: number | undefined;
  /** Requests of one batch at most. @default 50000, the provider's limit */
  readonly maxRequests?: number | undefined;
  /** Bytes of one batch's input file at most. @default 100 MB; the provider's limit is 200 */
  readonly maxBytes?: number | undefined;
  /** Batches at the provider at a time. @default 8 */
  readonly maxOpen?: number | undefined;
}

export interface GenerateOptions extends ReadLabelsOptions, RateLimits {
  /** Folder of the run: created, or resumed if a run of the same settings is in it. */
  readonly output: string;
  /** The caller disposes of it. */
  readonly teacher: Teacher;
  /** A set, or the name or path of one. @default 'fairfacegpt' */
  readonly prompts?: PromptSet | string | undefined;
  /** Ids of the set's questions to ask. @default all */
  readonly questions?: readonly string[] | undefined;
  /** Requests at a time. @default what suits the teacher */
  readonly concurrency?: number | undefined;
  /** Repetitions of a request that fails in passing (429, 5xx, broken connections). @default 6 */
  readonly maxRetries?: number | undefined;
  /** Answers asked for before a question is set aside. @default 3 */
  readonly maxAttempts?: number | undefined;
  /** US dollars that all sessions of the run together may cost; it is never passed. @default none */
  readonly spendingLimit?: number | undefined;
  /** Asks again also for what earlier sessions set aside for its answers. @default false */
  readonly retrySetAside?: boolean | undefined;
  /** Of the texts made, for the data card. */
  readonly license?: string | undefined;
  /** Use the provider's Batch API: half the price, answers within a day. Needs the openai teacher. */
  readonly batch?: boolean | BatchOptions | undefined;
}

function isAtLeast(value: unknown, least: number): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= least;
}

/** @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT with one detail per problem */
export function checkOptions(options: GenerateOptions): void {
  const problems: string[] = [];
  if (typeof (options.teacher as Partial<Teacher> | undefined)?.answer !== 'function') {
    throw createError(
      'FACELLM_INVALID_ARGUMENT',
      'teacher: expected one, such as labelsTeacher() or await openAiTeacher()',
    );
  }
  for (const name of ['labels', 'images', 'output'] as const) {
    const value: unknown = options[name];
    if (typeof value !== 'string' || value === '') {
      problems.push(`${name}: expected a path, ${received(value)}`);
    }
  }
  const counts = [
    ...([
      ['concurrency', 1],
      ['maxRetries', 0],
      ['maxAttempts', 1],
      ['maxImages', 1],
    ] as const),
    ...([
      ['requestsPerMinute', 1],
      ['tokensPerMinute', 1],
    ] as const),
  ];
  for (const [name, least] of counts) {
    const value = options[name];
    if (value === undefined || isAtLeast(value, least)) continue;
    problems.push(`${name}: expected a whole number from ${least}, ${received(value)}`);
  }
  if (options.maxAttempts !== undefined && options.maxAttempts > 100) {
    problems.push(`maxAttempts: expected at most 100, ${received(options.maxAttempts)}`);
  }
  const { spendingLimit, teacher } = options;
  if (spendingLimit !== undefined && !(Number.isFinite(spendingLimit) && spendingLimit >= 0)) {
    problems.push(`spendingLimit: expected US dollars from 0, ${received(spendingLimit)}`);
  }
  const isPriced = teacher.prices !== undefined && teacher.bound !== undefined;
  if (spendingLimit !== undefined && teacher.bound !== undefined && !isPriced) {
    problems.push('spendingLimit: no prices are known for this model; give them');
  }
  const { batch } = options;
  if (batch && teacher.batches === undefined) {
    problems.push(`batch: the ${teacher.name} teacher answers single requests only`);
  }
  if (typeof batch === 'object') {
    for (const name of ['pollMs', 'maxRequests', 'maxBytes', 'maxOpen'] as const) {
      const value = batch[name];
      if (value === undefined || isAtLeast(value, 1)) continue;
      problems.push(`batch.${name}: expected a whole number from 1, ${received(value)}`);
    }
  }
  if (problems.length === 0) return;
  throw createError(
    'FACELLM_INVALID_ARGUMENT',
    `generateDataset got ${problems.length} invalid argument(s)`,
    { details: problems },
  );
}
