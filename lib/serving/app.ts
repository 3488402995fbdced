/** What every request goes through before its own route: name called by, key, page of origin, right; and how it ends. */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';

import type { HttpBindings } from '@hono/node-server';
import type { Hono } from 'hono';

import type { ServerPackages } from '../packages/server.js';
import { ApiError, ClientGone, isFatal, shuttingDown, toApiError } from './api-error.js';
import { StreamFailed } from './chat-route.js';
import { requireRight, type Right } from './keys.js';
import { RequestFacts } from './request-facts.js';
import { pathOf, type Route, ROUTES, unknownRoute } from './routes.js';
import type { ServerState } from './state.js';

const SECURITY = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
} as const;

type Env = { Bindings: HttpBindings };

export function createApp({ hono }: ServerPackages, state: ServerState): Hono<Env> {
  const app = new hono.Hono<Env>();
  const already = new Response(null, { headers: { 'x-hono-already-sent': 'true' } });
  const run = async (
    { incoming, outgoing }: HttpBindings,
    route: Route | undefined,
  ): Promise<Response> => {
    await answer(state, incoming, outgoing, route);
    return already;
  };
  for (const route of ROUTES) {
    app.on(route.method, route.path, (context) => run(context.env, route));
  }
  app.all('*', (context) => run(context.env, undefined));
  return app;
}

/** Answers whatever comes; what is thrown here is a fault of this file. */
async function answer(
  state: ServerState,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  route: Route | undefined,
): Promise<void> {
  const given = String(incoming.headers['x-request-id'] ?? '');
  const id = /^[A-Za-z0-9._-]{1,64}$/.test(given) ? given : randomUUID();
  const facts = new RequestFacts(id, route?.path ?? 'other');
  const headers: Record<string, string> = { ...SECURITY, 'x-request-id': id };
  let status = 200;
  let failure: ApiError | undefined;
  try {
    const { host, origin, authorization } = incoming.headers;
    const method = incoming.method ?? '';
    const guards = state.guards();
    guards.checkHost(host, incoming.socket.localAddress);
    const page = guards.checkOrigin(origin, host, method);
    if (page !== undefined) Object.assign(headers, corsHeaders(page));
    if (method === 'OPTIONS' && page !== undefined) {
      outgoing.writeHead(204, headers).end();
      return;
    }
    const caller =
      route?.right === 'none'
        ? { name: '', rights: new Set<Right>() }
        : state.keys.caller(authorization);
    facts.caller = caller.name;
    if (route === undefined) throw unknownRoute(pathOf(incoming), method);
    if (route.right !== 'none') requireRight(caller, route.right);
    const retries = Number(incoming.headers['x-stainless-retry-count'] ?? 0);
    if (retries > 0) {
      facts.retries = Math.min(retries, 100);
      state.metrics.retried();
    }
    if (route.right === 'infer' && (state.hasFailed || state.admission.isDraining)) {
      throw shuttingDown();
    }
    const reply = await route.handle({ state, incoming, outgoing, caller, facts, headers });
    if (reply !== undefined) {
      status = outgoing.statusCode;
      send(outgoing, status, timed(headers, facts), reply);
    }
  } catch (error) {
    failure = fail(state, outgoing, timed(headers, facts), facts, error);
    status = error instanceof ClientGone ? 499 : failure.status;
  }
  facts.totalMs = facts.elapsedMs;
  if (route?.isQuiet === true) return;
  settle(state, facts, status, failure);
}

function corsHeaders(page: string): Record<string, string> {
  return {
    'access-control-allow-origin': page,
    'access-control-allow-methods': 'GET, POST, DELETE',
    'access-control-allow-headers': 'authorization, content-type, x-request-id',
    'access-control-expose-headers': 'x-request-id, retry-after',
    'cross-origin-resource-policy': 'cross-origin',
    vary: 'origin',
  };
}

function timed(headers: Record<string, string>, facts: RequestFacts): Record<string, string> {
  return {
    ...headers,
    'openai-processing-ms': String(Math.round(facts.elapsedMs)),
    'x-facellm-queue-ms': String(Math.round(facts.queueMs)),
  };
}

function send(
  outgoing: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: object,
): void {
  if (outgoing.destroyed) return;
  const text = JSON.stringify(body);
  outgoing.writeHead(status, {
    ...headers,
    'content-type': 'application/json; charset=utf-8',
    'content-length': String(Buffer.byteLength(text)),
  });
  outgoing.end(text);
}

/** @returns what it came to */
function fail(
  state: ServerState,
  outgoing: ServerResponse,
  headers: Readonly<Record<string, string>>,
  facts: RequestFacts,
  error: unknown,
): ApiError {
  if (error instanceof ClientGone) {
    outgoing.destroy();
    return new ApiError(499, 'client_gone', error.message);
  }
  const cause = error instanceof StreamFailed ? error.cause : error;
  if (isFatal(cause)) state.fail(cause);
  if (error instanceof StreamFailed) return error.told;
  const told = isFatal(cause) ? shuttingDown() : toApiError(error);
  if (outgoing.headersSent) outgoing.destroy();
  else send(outgoing, told.status, { ...headers, ...told.headers }, told.body(facts.id));
  return told;
}

function settle(
  state: ServerState,
  facts: RequestFacts,
  status: number,
  failure: ApiError | undefined,
): void {
  state.log(facts.line(status, failure?.code));
  if (failure !== undefined && status < 500 && status !== 499) {
    state.metrics.refused(failure.code, failure.code.includes('image'));
    return;
  }
  // Only what was computed for somebody.
  if (facts.model === '') return;
  const reason =
    status === 499 ? 'abort' : failure === undefined ? (facts.finishReason ?? 'stop') : 'error';
  state.metrics.finished(facts, facts.model, reason);
}
