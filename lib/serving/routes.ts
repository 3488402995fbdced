/** The addresses that there are, what each asks for, and what is said of those that there are not. */
import type { IncomingMessage } from 'node:http';

import { clearCacheRoute, loadAdapterRoute, unloadAdapterRoute } from './adapters-route.js';
import { ApiError } from './api-error.js';
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
import { chatRoute } from './chat-route.js';
import { chooseRoute } from './choose-route.js';
import { embeddingsRoute } from './embeddings-route.js';
import type { Handler } from './exchange.js';
import { extractRoute } from './extract-route.js';
import { healthRoute, metricsRoute, readyRoute } from './health-routes.js';
import type { Right } from './keys.js';
import { PAGE_PATHS, pageRoute } from './page-route.js';
import { planRoute } from './plan-route.js';
import { responsesRoute } from './responses-route.js';
import { runCheckpointsRoute, runEventsRoute, runsRoute } from './runs-route.js';

export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  /** Nobody may ask without it; `none` is said, never meant by silence. */
  readonly right: Right | 'none';
  readonly handle: Handler;
  /** Asked all the time by machines. */
  readonly isQuiet?: boolean;
}

export const ROUTES: readonly Route[] = [
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
  { method: 'GET', path: '/v1/runs', right: 'metrics', handle: runsRoute, isQuiet: true },
  {
    ...{ method: 'GET', path: '/v1/runs/:id{.+}/events', right: 'metrics' },
    handle: (exchange) =>
      runEventsRoute(exchange, lastOf(exchange.incoming, '/v1/runs/', '/events')),
  },
  {
    ...{ method: 'GET', path: '/v1/runs/:id{.+}/checkpoints', right: 'metrics', isQuiet: true },
    handle: (exchange) =>
      runCheckpointsRoute(exchange, lastOf(exchange.incoming, '/v1/runs/', '/checkpoints')),
  },
  ...PAGE_PATHS.map((path): Route => {
    return { method: 'GET', path, right: 'none', handle: pageRoute, isQuiet: true };
  }),
  { method: 'GET', path: '/health', right: 'none', handle: healthRoute, isQuiet: true },
  { method: 'GET', path: '/ready', right: 'none', handle: readyRoute, isQuiet: true },
  { method: 'GET', path: '/metrics', right: 'metrics', handle: metricsRoute, isQuiet: true },
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

export const pathOf = ({ url = '' }: IncomingMessage): string => url.split('?', 1)[0] ?? '';

/** The name at the end of an address, or before the `end` of it. */
function lastOf(incoming: IncomingMessage, start: string, end = ''): string {
  const path = pathOf(incoming);
  const text = path.slice(start.length, path.length - end.length);
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Of a file or batch: the third part of the path. */
const idOf = (incoming: IncomingMessage): string => pathOf(incoming).split('/')[3] ?? '';

/** 405 where the address is for another method, else 404 with what there is. */
export function unknownRoute(path: string, method: string): ApiError {
  const allowed = ROUTES.filter((route) => {
    const [start = '', rest] = route.path.split(':');
    return rest === undefined ? path === start : path.startsWith(start);
  }).map((route) => route.method);
  // A longer address than any that begins so is none at all.
  if (allowed.length > 0 && !allowed.includes(method as Route['method'])) {
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
