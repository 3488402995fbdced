/** What is sent of an answer: the whole object, or chunks of a stream. */
import { randomUUID } from 'node:crypto';

import type { Answer, AnswerResult, AnswerToken } from '../generation/index.js';
import type { FaceLlm } from '../model/index.js';
import type { ChatRequest } from './chat-request.js';
import { facesWritten } from './face-fields.js';
import { logProbEntries } from './log-probs.js';
import type { RequestFacts } from './request-facts.js';
import { usageOf } from './usage.js';

type Json = Readonly<Record<string, unknown>>;
type Account = () => Json;

export class ChatAnswer {
  readonly #model: FaceLlm;
  readonly #request: ChatRequest;
  readonly #facts: RequestFacts;
  readonly #id = `chatcmpl-${randomUUID()}`;
  readonly #created = Math.floor(Date.now() / 1000);

  readonly #account: Account;

  /** @param account what an answer of a form says of itself, once it is there */
  constructor(
    model: FaceLlm,
    request: ChatRequest,
    facts: RequestFacts,
    account: Account = () => ({}),
  ) {
    this.#model = model;
    this.#request = request;
    this.#facts = facts;
    this.#account = account;
  }

  /** @param listed tokens of each answer that some of its text came with */
  whole(result: AnswerResult, listed: readonly (readonly AnswerToken[])[]): Json {
    throwIfFailed(result);
    this.#note(result);
    return {
      ...this.#head('chat.completion'),
      choices: result.answers.map((answer, index) => ({
        index,
        message: { role: 'assistant', content: answer.text, refusal: null },
        logprobs: this.#logProbs(listed[index] ?? []),
        ...endOf(answer),
      })),
      usage: usageOf(this.#facts, result.imageTokens, this.#facts.generatedTokens),
      facellm: this.#accountOf(result),
    };
  }

  role(index: number): Json {
    return this.#chunk(index, { role: 'assistant', content: '' });
  }

  text(index: number, content: string, tokens: readonly AnswerToken[], made: number): Json {
    return this.#chunk(index, { content }, { logprobs: this.#logProbs(tokens) }, made);
  }

  /** One chunk for each answer, then the counts if they were asked for. */
  ends(result: AnswerResult): readonly Json[] {
    throwIfFailed(result);
    this.#note(result);
    const { answers } = result;
    const { generatedTokens } = this.#facts;
    const chunks = answers.map((answer, index) => ({
      ...this.#chunk(index, {}, endOf(answer), generatedTokens),
      ...(index === answers.length - 1 && { facellm: this.#accountOf(result) }),
    }));
    if (this.#request.stream?.includeUsage !== true) return chunks;
    const usage = usageOf(this.#facts, result.imageTokens, generatedTokens);
    return [...chunks, { ...this.#head('chat.completion.chunk'), choices: [], usage }];
  }

  #note({ answers, cachedTokens, timings }: AnswerResult): void {
    const facts = this.#facts;
    facts.cachedTokens = cachedTokens;
    facts.generatedTokens = answers.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0);
    facts.encodeMs = timings.vision;
    facts.prefillMs = timings.prefill;
    facts.decodeMs = timings.decode;
    facts.preprocessMs = timings.preprocess;
    const reasons = answers.map(({ finishReason }) => finishReason);
    facts.finishReason = reasons.includes('length') ? 'length' : 'stop';
  }

  #head(object: string): Json {
    return {
      id: this.#id,
      object,
      created: this.#created,
      model: this.#request.model ?? this.#facts.model,
      system_fingerprint: `fp_${this.#model.fingerprint}`,
    };
  }

  #chunk(index: number, delta: Json, more: Json = {}, made = 0): Json {
    const { stream, logprobs } = this.#request;
    const { continuousUsage = false, includeUsage = false } = stream ?? {};
    const choice = {
      index,
      delta,
      ...(logprobs ? { logprobs: null } : {}),
      finish_reason: null,
      ...more,
    };
    return {
      ...this.#head('chat.completion.chunk'),
      choices: [choice],
      ...(continuousUsage ? { usage: this.#usageSoFar(made) } : includeUsage && { usage: null }),
    };
  }

  /** What a client has when it leaves in the middle. */
  #usageSoFar(made: number): object {
    const { promptTokens } = this.#facts;
    return {
      prompt_tokens: promptTokens,
      completion_tokens: made,
      total_tokens: promptTokens + made,
    };
  }

  #logProbs(tokens: readonly AnswerToken[]): object | null {
    if (!this.#request.logprobs) return null;
    return { content: logProbEntries(this.#model, tokens), refusal: null };
  }

  #accountOf(result: AnswerResult): Json {
    const { adapters, tiles } = this.#facts;
    return {
      prompt_hash: result.promptHash,
      seed: this.#request.seed,
      adapters,
      tiles,
      ...facesWritten(result.faces),
      preemptions: result.preemptions,
      timings_ms: this.#facts.timings(),
      ...this.#account(),
    };
  }
}

/** OpenAI has no word for an answer that failed beside others: the request has, then. */
function throwIfFailed({ answers }: AnswerResult): void {
  const failed = answers.find(({ error }) => error !== undefined);
  if (failed?.error !== undefined) throw failed.error;
}

function endOf({ finishReason, stopString }: Answer): Json {
  return {
    finish_reason: finishReason === 'length' ? 'length' : 'stop',
    stop_reason: stopString ?? null,
  };
}
