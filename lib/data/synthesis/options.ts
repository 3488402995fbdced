/** What a caller may say about a run, checked before anything starts. */
import {
  checkArguments,
  field,
  fields,
  flag,
  kindOf,
  list,
  name,
  number,
  text,
  texts,
  whole,
  word,
} from '../../options/index.js';
import { type JudgeOptions, judgeOptions } from '../judging/judge.js';
import type { ReadLabelsOptions } from '../labels/read-labels.js';
import type { PromptSet } from '../prompts/prompt-set.js';
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
  /** A model that is asked whether what answers claim of a person can be seen. @default none */
  readonly judge?: JudgeOptions | undefined;
}

const path = name('a path');
const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null;
const batchOptions = fields<BatchOptions>({
  pollMs: whole(1).optional(),
  maxRequests: whole(1).optional(),
  maxBytes: whole(1).optional(),
  maxOpen: whole(1).optional(),
});

const schema = fields<GenerateOptions>({
  labels: path,
  images: path,
  output: path,
  teacher: field(
    'one, such as labelsTeacher() or await openAiTeacher()',
    (value) => typeof (value as Partial<Teacher> | undefined | null)?.answer === 'function',
  ),
  columns: texts.optional(),
  values: field<GenerateOptions['values'] & object>(
    'attributes with words of each',
    isObject,
  ).optional(),
  where: texts.optional(),
  onInvalid: word('error', 'skip').optional(),
  maxImages: whole(1).optional(),
  requestsPerMinute: whole(1).optional(),
  tokensPerMinute: whole(1).optional(),
  prompts: field<PromptSet | string>(
    'a prompt set, or the name or path of one',
    (value) => (typeof value === 'string' && value !== '') || isObject(value),
  ).optional(),
  questions: list(name('the id of a question'), 'a list of ids').optional(),
  concurrency: whole(1).optional(),
  maxRetries: whole(0).optional(),
  maxAttempts: whole(1, 100).optional(),
  spendingLimit: number('US dollars from 0', 0).optional(),
  retrySetAside: flag.optional(),
  license: text('a text').optional(),
  batch: kindOf<boolean | BatchOptions>((value) =>
    isObject(value) ? batchOptions : flag,
  ).optional(),
  judge: judgeOptions.optional(),
});

const absent = (reason: string) => field<undefined>(reason, (value) => value === undefined);
const withoutPrices = absent(
  'prices of the teacher beside it, since none are known for this model',
);
const withoutBatches = absent('nothing: this teacher answers single requests only');

/** @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT with one detail per problem */
export function checkOptions(options: GenerateOptions): GenerateOptions {
  const { teacher, spendingLimit, batch }: Partial<GenerateOptions> = options ?? {};
  const isUnpriced = teacher?.bound !== undefined && teacher.prices === undefined;
  const isUnbatched = teacher?.batches === undefined;
  const [checked] = checkArguments<[GenerateOptions, undefined, undefined]>(
    'the options of the dataset are wrong',
    [schema, options],
    [withoutPrices, isUnpriced ? spendingLimit : undefined, 'spendingLimit'],
    [withoutBatches, isUnbatched && batch ? batch : undefined, 'batch'],
  );
  return checked;
}
