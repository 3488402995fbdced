/**
 * A teacher behind any OpenAI-compatible endpoint, through the `openai` SDK. The SDK's own retries are
 * off: they do not cover replies that break off or are no JSON, and know nothing of the run's limits.
 */
import OpenAI from 'openai';

import {
  boundUsage,
  completionBody,
  type CompletionSettings,
  estimateUsage,
  readCompletion,
} from './chat-completion.js';
import { type OpenAiAccess, OpenAiBatches } from './openai-batches.js';
import { toFailure } from './openai-failure.js';
import {
  checkOpenAiOptions,
  DEFAULT_TEACHER_MODEL,
  type OpenAiTeacherOptions,
} from './openai-options.js';
import { Pictures } from './pictures.js';
import { knownPrices } from './prices.js';
import {
  type TeacherAnswer,
  TeacherFailure,
  type TeacherRequest,
  type TokenUsage,
} from './exchange.js';
import type { Teacher, TokenPrices } from './teacher.js';

/** A URL without user, password and query, which may hold secrets. */
function publicUrl(url: string): string {
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname}`.replace(/\/+$/, '');
}

export class OpenAiTeacher implements Teacher, OpenAiAccess {
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
    const checked = checkOpenAiOptions(options, env);
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
