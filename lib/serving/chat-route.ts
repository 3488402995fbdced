/** `POST /v1/chat/completions`. */
import type { AnswerStream, AnswerToken } from '../generation/index.js';
import { ApiError, ClientGone, toApiError } from './api-error.js';
import { ChatAnswer } from './chat-answer.js';
import { type ChatRequest, readChatRequest } from './chat-request.js';
import { askForm } from './chat-form.js';
import type { Exchange, Reply } from './exchange.js';
import { promptOf, toMessages } from './message-fields.js';
import { Sse } from './sse.js';
import { makeReady, type Ready, type Work, withWork } from './work.js';

/** In which protocol an answer is told. */
export interface Dialect {
  whole(completion: object): object;
  /** @returns what is sent of a chunk, each with the name of its event where it has one */
  events(chunk: object): readonly (readonly [data: string, event?: string])[];
  /** After the last chunk. */
  end(): readonly (readonly [data: string, event?: string])[];
  failure(error: ApiError, requestId: string): readonly [data: string, event?: string];
}

const CHAT: Dialect = {
  whole: (completion) => completion,
  events: (chunk) => [[JSON.stringify(chunk)]],
  end: () => [['[DONE]']],
  failure: (error, requestId) => [JSON.stringify(error.body(requestId))],
};

export function chatRoute(exchange: Exchange): Promise<Reply> {
  return withWork(exchange, (work) => answerChat(work));
}

/** @param dialect that the answer is told in */
export async function answerChat(work: Work, dialect: Dialect = CHAT): Promise<Reply> {
  const { state, facts, headers } = work.exchange;
  const request = readChatRequest(work.parsed, state.policy);
  facts.isStreamed = request.stream !== undefined;
  if (request.ignored.length > 0) headers['x-facellm-ignored'] = namesOf(request.ignored);
  const { answerTimeout, streamTimeout } = state.policy.limits;
  const ready = await makeReady(work, {
    ...{ fields: request, pictures: request.pictures },
    ...{ answers: request.answers, maxTokens: request.maxTokens },
    timeoutMs: facts.isStreamed ? streamTimeout : answerTimeout,
  });
  try {
    const form = request.form && askForm(work, request, request.form, ready);
    const answer = new ChatAnswer(state.model, request, facts, form?.account);
    const stream = form?.stream ?? ask(work, request, ready);
    return await (request.stream === undefined
      ? sendWhole(work, stream, answer, dialect)
      : sendStream(work, stream, answer, ready, dialect));
  } finally {
    ready.done();
  }
}

/** Field names are the client's: a header takes only plain ones. */
const namesOf = (names: readonly string[]): string =>
  names.map((name) => name.slice(0, 64).replace(/[^\w.-]/g, '?')).join(', ');

function ask(work: Work, request: ChatRequest, ready: Ready): AnswerStream {
  const { model } = work.exchange.state;
  return model.chat(toMessages(request.turns, ready.images), {
    ...promptOf(request, model.config),
    ...request.generation,
    adapters: ready.adapters,
    reusePrefix: request.reusePrefix,
    whenPrepared: ready.whenPrepared,
    signal: work.signal,
  });
}

async function sendWhole(
  work: Work,
  stream: AnswerStream,
  answer: ChatAnswer,
  dialect: Dialect,
): Promise<Reply> {
  const { facts } = work.exchange;
  const listed: AnswerToken[][] = [];
  for await (const { index, text, tokens } of stream.pieces()) {
    if (facts.firstTokenMs === 0) facts.firstTokenMs = facts.elapsedMs;
    if (text !== '') (listed[index] ??= []).push(...tokens);
  }
  return dialect.whole(answer.whole(await stream.result(), listed));
}

async function sendStream(
  work: Work,
  stream: AnswerStream,
  answer: ChatAnswer,
  ready: Ready,
  dialect: Dialect,
): Promise<undefined> {
  const { state, facts, headers, outgoing } = work.exchange;
  if (outgoing === undefined) throw new TypeError('nobody reads a stream');
  // What fails by the request's fault fails before the status line.
  const result = stream.result();
  await Promise.race([ready.prepared, result]);
  const { stallTimeout } = state.policy.limits;
  const sse = new Sse(outgoing, headers, { stallMs: stallTimeout, onGone: work.stop });
  state.streams++;
  try {
    const tell = (chunk: object): void => {
      for (const [data, event] of dialect.events(chunk)) sse.send(data, event);
    };
    const joiner = new Joiner(tell, answer, () => intervalOf(work));
    for await (const { index, text, tokens } of stream.pieces()) {
      if (facts.firstTokenMs === 0) facts.firstTokenMs = facts.elapsedMs;
      joiner.add(index, text, tokens);
    }
    joiner.flush();
    const whole = await result;
    joiner.begin(whole.answers.length);
    for (const chunk of answer.ends(whole)) tell(chunk);
    for (const [data, event] of dialect.end()) sse.send(data, event);
  } catch (error) {
    const reason: unknown = work.signal.aborted ? work.signal.reason : error;
    if (reason instanceof ClientGone) throw reason;
    const told = toApiError(reason);
    sse.send(...dialect.failure(told, facts.id));
    // Told already; for log and metrics.
    throw new StreamFailed(told, reason);
  } finally {
    state.streams--;
    sse.end();
  }
  return undefined;
}

/** A failure after the status line, which the client has been told. */
export class StreamFailed extends Error {
  readonly told: ApiError;

  constructor(told: ApiError, cause: unknown) {
    super(told.message, { cause });
    this.told = told;
  }
}

const MANY_STREAMS = 64;
const INTERVAL_OF_MANY_MS = 20;

function intervalOf({ exchange: { state } }: Work): number {
  const own = state.policy.limits.streamInterval;
  return state.streams > MANY_STREAMS ? Math.max(own, INTERVAL_OF_MANY_MS) : own;
}

interface Held {
  text: string;
  readonly tokens: AnswerToken[];
}

/** Joins pieces that come closer than the interval. */
class Joiner {
  readonly #send: (chunk: object) => void;
  readonly #answer: ChatAnswer;
  readonly #interval: () => number;
  readonly #held = new Map<number, Held>();
  readonly #begun = new Set<number>();
  #sentAt = -Infinity;
  #made = 0;

  constructor(send: (chunk: object) => void, answer: ChatAnswer, interval: () => number) {
    this.#send = send;
    this.#answer = answer;
    this.#interval = interval;
  }

  add(index: number, text: string, tokens: readonly AnswerToken[]): void {
    this.#made += tokens.length;
    // Tokens of which nothing is shown are counted and not listed.
    if (text === '') return;
    const held = this.#held.get(index) ?? { text: '', tokens: [] };
    held.text += text;
    held.tokens.push(...tokens);
    this.#held.set(index, held);
    if (performance.now() - this.#sentAt >= this.#interval()) this.flush();
  }

  flush(): void {
    for (const [index, { text, tokens }] of this.#held) {
      this.#role(index);
      this.#send(this.#answer.text(index, text, tokens, this.#made));
    }
    this.#held.clear();
    this.#sentAt = performance.now();
  }

  /** Answers without a text have a beginning, too. */
  begin(answers: number): void {
    for (let index = 0; index < answers; index++) this.#role(index);
  }

  #role(index: number): void {
    if (this.#begun.has(index)) return;
    this.#begun.add(index);
    this.#send(this.#answer.role(index));
  }
}
