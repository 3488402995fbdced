/** Routes, and what every request goes through before its own: name called by, key, page of origin, right. */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';

import type { HttpBindings } from '@hono/node-server';
import type { Hono } from 'hono';

import type { ServerPackages } from '../packages/server.js';
import { clearCacheRoute, loadAdapterRoute, unloadAdapterRoute } from './adapters-route.js';
import {
  batchesRoute,
  batchRoute,
  cancelBatchRoute,
  createBatchRoute,
  deleteFileRoute,
  fileContentRoute,
  fileRoute,
  filesRoute,
  uploadRoute,
} from './batches-route.js';
import { ApiError, ClientGone, isFatal, shuttingDown, toApiError } from './api-error.js';
import { chatRoute, StreamFailed } from './chat-route.js';
import { chooseRoute } from './choose-route.js';
import { embeddingsRoute } from './embeddings-route.js';
import type { Exchange, Handler, Reply } from './exchange.js';
import { requireRight, type Right } from './keys.js';
import { extractRoute } from './extract-route.js';
import { PAGE_PATHS, pageRoute } from './page-route.js';
import { planRoute } from './plan-route.js';
import { responsesRoute } from './responses-route.js';
import { RequestFacts } from './request-facts.js';
import type { ServerState } from './state.js';

interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  /** Nobody may ask without it; `none` is said, never meant by silence. */
  readonly right: Right | 'none';
  readonly handle: Handler;
  /** Asked all the time by machines. */
  readonly isQuiet?: boolean;
}

const ROUTES: readonly Route[] = [
  { method: 'POST', path: '/v1/chat/completions', right: 'infer', handle: chatRoute },
  { method: 'POST', path: '/v1/responses', right: 'infer', handle: responsesRoute },
  { method: 'POST', path: '/v1/choose', right: 'infer', handle: chooseRoute },
  { method: 'POST', path: '/v1/extract', right: 'infer', handle: extractRoute },
  { method: 'POST', path: '/v1/embeddings', right: 'infer', handle: embeddingsRoute },
  { method: 'POST', path: '/v1/plan', right: 'infer', handle: planRoute },
  {
    ...{ method: 'GET', path: '/v1/models', right: 'infer' },
    handle: ({ state }) => state.catalogue.list(),
  },
  {
    ...{ method: 'GET', path: '/v1/models/:id{.+}', right: 'infer' },
    handle: ({ state, incoming }) => state.catalogue.entry(lastOf(incoming, '/v1/models/')),
  },
  { method: 'POST', path: '/v1/files', right: 'infer', handle: uploadRoute },
  { method: 'GET', path: '/v1/files', right: 'infer', handle: filesRoute },
  {
    ...{ method: 'GET', path: '/v1/files/:id/content', right: 'infer' },
    handle: (exchange) => fileContentRoute(exchange, idOf(exchange.incoming)),
  },
  {
    ...{ method: 'GET', path: '/v1/files/:id', right: 'infer' },
    handle: (exchange) => fileRoute(exchange, idOf(exchange.incoming)),
  },
  {
    ...{ method: 'DELETE', path: '/v1/files/:id', right: 'infer' },
    handle: (exchange) => deleteFileRoute(exchange, idOf(exchange.incoming)),
  },
  { method: 'POST', path: '/v1/batches', right: 'infer', handle: createBatchRoute },
  { method: 'GET', path: '/v1/batches', right: 'infer', handle: batchesRoute },
  {
    ...{ method: 'GET', path: '/v1/batches/:id', right: 'infer' },
    handle: (exchange) => batchRoute(exchange, idOf(exchange.incoming)),
  },
  {
    ...{ method: 'POST', path: '/v1/batches/:id/cancel', right: 'infer' },
    handle: (exchange) => cancelBatchRoute(exchange, idOf(exchange.incoming)),
  },
  { method: 'POST', path: '/v1/adapters', right: 'admin', handle: loadAdapterRoute },
  {
    ...{ method: 'DELETE', path: '/v1/adapters/:id{.+}', right: 'admin' },
    handle: (exchange) => unloadAdapterRoute(exchange, lastOf(exchange.incoming, '/v1/adapters/')),
  },
  { method: 'DELETE', path: '/v1/cache', right: 'admin', handle: clearCacheRoute },
  ...PAGE_PATHS.map((path): Route => {
    return { method: 'GET', path, right: 'none', handle: pageRoute, isQuiet: true };
  }),
  { method: 'GET', path: '/health', right: 'none', handle: health, isQuiet: true },
  { method: 'GET', path: '/ready', right: 'none', handle: ready, isQuiet: true },
  { method: 'GET', path: '/metrics', right: 'metrics', handle: metrics, isQuiet: true },
];

/** Asked for by clients of other servers: what does the same here. */
const ELSEWHERE: readonly (readonly [start: string, instead: string])[] = [
  ['/v1/completions', '/v1/chat/completions, or /v1/choose for scores of given texts'],
  ['/v1/responses/', '/v1/responses: nothing of an answer is kept'],
  ['/v1/moderations', '/v1/choose'],
  ['/v1/audio/', 'nothing: the model hears nothing'],
  ['/chat/completions', '/v1/chat/completions'],
  ['/models', '/v1/models'],
];

const SECURITY = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
} as const;

type Env = { Bindings: HttpBindings };

const pathOf = ({ url = '' }: IncomingMessage): string => url.split('?', 1)[0] ?? '';

/** The name at the end of an address. */
function lastOf(incoming: IncomingMessage, start: string): string {
  const text = pathOf(incoming).slice(start.length);
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Of a file or batch: the third part of the path. */
const idOf = (incoming: IncomingMessage): string => pathOf(incoming).split('/')[3] ?? '';

function health({ state, outgoing }: Exchange): Reply {
  const silent = Date.now() - state.pulse.progressAt;
  const isWell = silent <= state.policy.limits.stallLimit;
  if (!isWell) outgoing.statusCode = 503;
  return { status: isWell ? 'ok' : 'stalled' };
}

function ready({ state, outgoing }: Exchange): Reply {
  const status = state.hasFailed ? 'failed' : state.admission.isDraining ? 'draining' : 'ready';
  if (status !== 'ready') outgoing.statusCode = 503;
  return { status };
}

async function metrics({ state, outgoing, headers }: Exchange): Promise<Reply> {
  await state.pulse.ask();
  const text = await state.metrics.text();
  outgoing.writeHead(200, { ...headers, 'content-type': state.metrics.contentType });
  outgoing.end(text);
  return undefined;
}

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

function unknownRoute(path: string, method: string): ApiError {
  const allowed = ROUTES.filter((route) => {
    const [start = '', rest] = route.path.split(':');
    return rest === undefined ? path === start : path.startsWith(start);
  }).map((route) => route.method);
  if (allowed.length > 0) {
    const message = `${method.slice(0, 16)} is not for this address; ${allowed.join(', ')} is`;
    return new ApiError(405, 'method_not_allowed', message, {
      headers: { allow: allowed.join(', ') },
    });
  }
  const instead = ELSEWHERE.find(([start]) => path.startsWith(start))?.[1];
  const known = ROUTES.map((route) => route.path.replace(/:.*/, 'ID'))
    .filter((one) => !one.startsWith('/assets/'))
    .join(', ');
  const message = `there is no such address; ${instead === undefined ? `there are ${known}` : `use ${instead}`}`;
  return new ApiError(404, 'unsupported_endpoint', message);
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
