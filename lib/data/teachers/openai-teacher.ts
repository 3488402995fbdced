/**
 * A teacher behind any OpenAI-compatible endpoint, through the `openai` SDK. The SDK's own retries are
 * off: they do not cover replies that break off or are no JSON, and know nothing of the run's limits.
 */
import OpenAI from 'openai';

import { checkArguments, field, fields, flag, name, number, whole } from '../../options/index.js';
import {
  boundUsage,
  completionBody,
  type CompletionSettings,
  estimateUsage,
  readCompletion,
} from './chat-completion.js';
import { OpenAiBatches } from './openai-batches.js';
import { toFailure } from './openai-failure.js';
import { Pictures } from './pictures.js';
import { knownPrices } from './prices.js';
import {
  type Teacher,
  type TeacherAnswer,
  TeacherFailure,
  type TeacherRequest,
  type TokenPrices,
  type TokenUsage,
} from './teacher.js';

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

/** A URL without user, password and query, which may hold secrets. */
function publicUrl(url: string): string {
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname}`.replace(/\/+$/, '');
}

export class OpenAiTeacher implements Teacher {
  readonly name = 'openai';
  readonly identity: Readonly<Record<string, unknown>>;
  readonly defaultConcurrency = 16;
  readonly prices: TokenPrices | undefined;
  readonly batches: OpenAiBatches = new OpenAiBatches(this);
  readonly client: OpenAI;
  readonly settings: CompletionSettings;
  readonly #pictures = new Pictures();
  readonly #secret: string;
  readonly #timeoutMs: number;
  readonly #estimateOnly: boolean;

  /** @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT, also if OPENAI_API_KEY is not set */
  constructor(options: OpenAiTeacherOptions = {}, env: NodeJS.ProcessEnv = process.env) {
    const [checked] = checkArguments<[OpenAiTeacherOptions, string]>(
      'the openai teacher cannot be used',
      [teacherOptions, options],
      [
        key,
        env['OPENAI_API_KEY'] || (options?.estimateOnly ? 'none' : undefined),
        'OPENAI_API_KEY',
      ],
    );
    const { model = DEFAULT_TEACHER_MODEL, maxTokens = 1024, temperature } = checked;
    // The SDK wants some text, also where nothing is sent.
    this.#secret = env['OPENAI_API_KEY'] || 'none';
    this.#timeoutMs = checked.timeoutMs ?? 120_000;
    this.#estimateOnly = checked.estimateOnly ?? false;
    this.client = new OpenAI({
      apiKey: this.#secret,
      ...(checked.baseUrl === undefined ? {} : { baseURL: checked.baseUrl }),
      maxRetries: 0,
      timeout: this.#timeoutMs,
      logLevel: 'off',
    });
    const isOpenAi = new URL(this.client.baseURL).hostname.endsWith('openai.com');
    const limitKey = isOpenAi ? 'max_completion_tokens' : 'max_tokens';
    this.settings = { model, maxTokens, temperature, limitKey };
    this.prices = checked.prices ?? knownPrices(model);
    this.identity = {
      model,
      baseUrl: publicUrl(this.client.baseURL),
      maxTokens,
      temperature: temperature ?? null,
    };
  }

  async bound(request: TeacherRequest): Promise<TokenUsage> {
    return boundUsage(request, await this.#pictures.get(request.image), this.settings);
  }

  async estimate(request: TeacherRequest): Promise<TokenUsage> {
    return estimateUsage(request, await this.#pictures.get(request.image), this.settings);
  }

  expect(image: string): void {
    // Whoever asks for it hears of a failure.
    this.#pictures.get(image).catch(() => undefined);
  }

  /** The request's body, also for a line of the Batch API. */
  async body(request: TeacherRequest): Promise<ReturnType<typeof completionBody>> {
    return completionBody(request, await this.#pictures.get(request.image), this.settings);
  }

  async answer(request: TeacherRequest, signal: AbortSignal): Promise<TeacherAnswer> {
    if (this.#estimateOnly) {
      throw new TeacherFailure('fatal', 'this teacher was made with estimateOnly');
    }
    const body = await this.body(request);
    // The SDK's time limit ends with the headers; a body may hang as well.
    const limit = new AbortController();
    const stop = (): void => limit.abort();
    signal.throwIfAborted();
    signal.addEventListener('abort', stop, { once: true });
    const timer = setTimeout(stop, this.#timeoutMs);
    try {
      // Gateways that know the header charge a repeated request once.
      const headers = { 'Idempotency-Key': `${request.id}#${request.attempt}` };
      const completion = await this.client.chat.completions.create(body, {
        signal: limit.signal,
        headers,
      });
      return readCompletion(completion);
    } catch (error) {
      signal.throwIfAborted();
      if (limit.signal.aborted) {
        const seconds = this.#timeoutMs / 1000;
        throw new TeacherFailure('passing', `no reply within ${seconds} s`, { mayBePaid: true });
      }
      throw this.failure(error);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    }
  }

  failure(error: unknown): TeacherFailure {
    return toFailure(error, this.#secret);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}
