/** One line of a batch, answered as its address would answer it over HTTP, by nobody's connection. */
import { randomUUID } from 'node:crypto';

import { isFatal, toApiError } from './api-error.js';
import { answerChat } from './chat-route.js';
import { answerChoose } from './choose-route.js';
import { answerEmbeddings } from './embeddings-route.js';
import type { Reply } from './exchange.js';
import { answerExtract } from './extract-route.js';
import type { Caller } from './keys.js';
import type { BodyKind } from './parse-body.js';
import { RequestFacts } from './request-facts.js';
import { answerResponses } from './responses-route.js';
import type { EngineState } from './state.js';
import { Problems } from './values.js';
import type { Work } from './work.js';

const ANSWERS: Readonly<Record<string, readonly [(work: Work) => Promise<Reply>, BodyKind]>> = {
  '/v1/chat/completions': [(work) => answerChat(work), 'usual'],
  '/v1/responses': [answerResponses, 'responses'],
  '/v1/choose': [answerChoose, 'usual'],
  '/v1/extract': [answerExtract, 'usual'],
  '/v1/embeddings': [answerEmbeddings, 'usual'],
};

export interface LineAnswer {
  readonly status: number;
  readonly body: object;
  readonly requestId: string;
}

/**
 * @param body as it stands on the line
 * @param signal ends the whole batch
 * @param onEnd is told what the line came to, for logs and metrics
 * @throws the signal's reason, and what ends the server; everything else is the line's answer
 */
export async function answerLine(
  state: EngineState,
  caller: Caller,
  url: string,
  body: object,
  signal: AbortSignal,
  onEnd: (facts: RequestFacts, status: number, code?: string) => void = () => {},
): Promise<LineAnswer> {
  const requestId = randomUUID();
  const facts = new RequestFacts(requestId, url);
  facts.caller = caller.name;
  const abort = new AbortController();
  const stop = (): void => abort.abort(signal.reason);
  signal.throwIfAborted();
  signal.addEventListener('abort', stop, { once: true });
  try {
    const [answer, kind] = ANSWERS[url] ?? [];
    if (answer === undefined || kind === undefined) throw new TypeError('the line was not checked');
    const parsed = await state.parser.parse(Buffer.from(JSON.stringify(body)), kind);
    refuseStream(parsed.body);
    const work: Work = {
      exchange: {
        state,
        caller,
        facts,
        headers: {},
        incoming: { headers: {} },
        outgoing: undefined,
      },
      ...{ parsed, signal: abort.signal, stop: (reason) => abort.abort(reason) },
      isBackground: true,
    };
    const reply = (await answer(work)) ?? {};
    facts.totalMs = facts.elapsedMs;
    onEnd(facts, 200);
    return { status: 200, body: reply, requestId };
  } catch (error) {
    signal.throwIfAborted();
    const reason: unknown = abort.signal.aborted ? abort.signal.reason : error;
    if (isFatal(reason)) throw reason;
    const told = toApiError(reason);
    facts.totalMs = facts.elapsedMs;
    onEnd(facts, told.status, told.code);
    return { status: told.status, body: told.body(requestId), requestId };
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** @throws ApiError */
function refuseStream({ stream }: Readonly<Record<string, unknown>>): void {
  if (stream === undefined || stream === null || stream === false) return;
  const problems = new Problems();
  problems.unsupported('stream', 'is not supported in a batch');
  problems.throwIfAny();
}
