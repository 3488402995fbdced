/** What the openai teacher may be told. Knows nothing of the `openai` package, which may be absent. */
import { checkArguments, field, fields, flag, name, number, whole } from '../../options/index.js';
import type { TokenPrices } from './teacher.js';

/** The model that made FairFaceGPT. */
export const DEFAULT_TEACHER_MODEL = 'gpt-4o-2024-11-20';

export interface OpenAiTeacherOptions {
  /** @default 'gpt-4o-2024-11-20' */
  readonly model?: string | undefined;
  /** @default OPENAI_BASE_URL, else OpenAI's own */
  readonly baseUrl?: string | undefined;
  /** Longest answer, in tokens; longer ones count as truncated. @default 1024 */
  readonly maxTokens?: number | undefined;
  /** @default the provider's own, as the authors had it */
  readonly temperature?: number | undefined;
  /** Of a request, body included, in milliseconds. @default 120000 */
  readonly timeoutMs?: number | undefined;
  /** US dollars for a million tokens. @default those known for the model */
  readonly prices?: TokenPrices | undefined;
  /** For `planDataset` only: needs no key and answers nothing. @default false */
  readonly estimateOnly?: boolean | undefined;
}

const teacherOptions = fields<OpenAiTeacherOptions>({
  model: name('the name of a model').optional(),
  baseUrl: field<string>(
    'a URL such as http://127.0.0.1:8000/v1',
    (value) => typeof value === 'string' && URL.canParse(value),
  ).optional(),
  maxTokens: whole(1).optional(),
  temperature: number('a number from 0 to 2', 0, 2).optional(),
  timeoutMs: whole(1, undefined, ' (milliseconds)').optional(),
  prices: fields<TokenPrices>({
    input: number('US dollars from 0', 0),
    output: number('US dollars from 0', 0),
  }).optional(),
  estimateOnly: flag.optional(),
});
/** The SDK would refuse to be made without one. */
const key = name(
  'the environment variable to be set: the key is read from nowhere else (any text will do for a server without keys)',
);

/**
 * The options, checked.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT, also if OPENAI_API_KEY is not set
 */
export function checkOpenAiOptions(
  options: OpenAiTeacherOptions,
  env: NodeJS.ProcessEnv,
): OpenAiTeacherOptions {
  const [checked] = checkArguments<[OpenAiTeacherOptions, string]>(
    'the openai teacher cannot be used',
    [teacherOptions, options],
    [key, env['OPENAI_API_KEY'] || (options?.estimateOnly ? 'none' : undefined), 'OPENAI_API_KEY'],
  );
  return checked;
}
