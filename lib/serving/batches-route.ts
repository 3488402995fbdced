/** `/v1/files` and `/v1/batches`, in OpenAI's shapes; only where the server was given a folder for them. */
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';

import { ApiError, ClientGone } from './api-error.js';
import { BATCH_URLS } from './batch-lines.js';
import { newId, seconds, type StoredBatch, type StoredFile } from './batch-records.js';
import type { BatchQueue } from './batch-store.js';
import type { Exchange, Reply } from './exchange.js';
import { readBody } from './read-body.js';
import { Fields, isObject, Problems } from './values.js';
import { withWork } from './work.js';

const WINDOW_SECONDS = 24 * 3600;
const MOST_LISTED = 100;
const LEAST_KEPT = 3600;

function batchesOf({ state }: Exchange): BatchQueue {
  if (state.batches !== undefined) return state.batches;
  const message =
    'this server keeps no files; it takes batches where it is started with --batches DIR';
  throw new ApiError(404, 'unsupported_endpoint', message);
}

/** Without what is nobody's business. */
function shown(record: object, ...hidden: readonly string[]): object {
  return Object.fromEntries(Object.entries(record).filter(([name]) => !hidden.includes(name)));
}

const fileReply = (file: StoredFile): object => ({
  object: 'file',
  ...shown(file, 'owner'),
  status: 'processed',
});

/** What is not known yet, or never will be, is left out: of OpenAI's fields only `metadata` may be null. */
function batchReply({ metadata, ...batch }: StoredBatch): object {
  const known = Object.entries(shown(batch, 'owner', 'rights')).filter(([, one]) => one !== null);
  return { object: 'batch', completion_window: '24h', ...Object.fromEntries(known), metadata };
}

/** What a form holds of a file. */
interface FilePart {
  readonly name: string;
  readonly size: number;
  arrayBuffer(): Promise<ArrayBuffer>;
}

/** Node's own reader of forms: the body is bounded, and whole in memory already. */
function formOf(bytes: Uint8Array, type: string): Promise<FormData> {
  const response = new Response(bytes as Uint8Array<ArrayBuffer>, {
    headers: { 'content-type': type },
  });
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- warned of for bodies without a bound
  return response.formData().catch(() => {
    throw new ApiError(400, 'invalid_value', 'the body is no multipart form');
  });
}

/** `POST /v1/files`: a form with `purpose` and `file`. */
export async function uploadRoute(exchange: Exchange): Promise<Reply> {
  const { state, incoming, caller } = exchange;
  const { store } = batchesOf(exchange);
  const type = String(incoming.headers['content-type'] ?? '');
  if (!/^multipart\/form-data\s*;/i.test(type)) {
    throw new ApiError(415, 'unsupported_media_type', 'expected content-type: multipart/form-data');
  }
  const draining = new AbortController();
  const entry = state.admission.enter(Number(incoming.headers['content-length'] ?? 0), (reason) =>
    draining.abort(reason),
  );
  const taken = { bytes: 0 };
  try {
    const { batchFileBytes } = state.policy.limits;
    const bytes = await readBody(incoming, {
      ...{ most: batchFileBytes, inFlight: state.admission.bodies },
      ...{ taken, signal: draining.signal },
    });
    entry.takePlace();
    const form = await formOf(bytes, type);
    const problems = new Problems();
    for (const name of new Set(form.keys())) {
      if (!['purpose', 'file', 'expires_after[anchor]', 'expires_after[seconds]'].includes(name)) {
        const param = name.slice(0, 64);
        problems.add({
          code: 'unknown_parameter',
          param,
          message: `${param}: there is no such field`,
        });
      }
    }
    const file = form.get('file') as FilePart | string | null;
    if (form.get('purpose') !== 'batch') problems.wrong('purpose', 'batch');
    if (file === null || typeof file === 'string' || file.size === 0) {
      problems.wrong('file', 'a file of JSON lines');
    }
    const most = store.keptSeconds;
    const kept = Number(form.get('expires_after[seconds]') ?? most);
    const least = Math.min(LEAST_KEPT, most);
    if (!Number.isSafeInteger(kept) || kept < least || kept > most) {
      problems.wrong('expires_after[seconds]', `a whole number of ${least}..${most}`);
    }
    const anchor = form.get('expires_after[anchor]');
    if (anchor !== null && anchor !== 'created_at') {
      problems.wrong('expires_after[anchor]', 'created_at');
    }
    problems.throwIfAny();
    const content = new Uint8Array(await (file as FilePart).arrayBuffer());
    const created = seconds();
    const stored: StoredFile = {
      ...{ id: newId('file-'), owner: caller.name, bytes: content.length, purpose: 'batch' },
      ...{ created_at: created, expires_at: created + kept },
      filename: (file as FilePart).name.slice(0, 256),
    };
    await store.addFile(stored, content);
    return fileReply(stored);
  } finally {
    state.admission.bodies.give(taken.bytes);
    entry.leave();
  }
}

/** @throws ApiError 400 of a query with other names than `known` */
function queryOf({ incoming }: Exchange, known: readonly string[]): URLSearchParams {
  const query = new URLSearchParams((incoming.url ?? '').split('?')[1] ?? '');
  const other = [...query.keys()].find((name) => !known.includes(name))?.slice(0, 64);
  if (other === undefined) return query;
  throw new ApiError(400, 'unknown_parameter', `there are ${known.join(', ')}, and no ${other}`, {
    param: other,
  });
}

/** @throws ApiError 400 */
function listed<T extends { readonly id: string }>(
  all: readonly T[],
  query: URLSearchParams,
  reply: (one: T) => object,
): object {
  const problems = new Problems();
  const given = Number(query.get('limit') ?? 20);
  if (!Number.isSafeInteger(given) || given < 1) problems.wrong('limit', 'a whole number from 1');
  const limit = Math.min(MOST_LISTED, given);
  const after = query.get('after');
  const from = after === null ? 0 : all.findIndex(({ id }) => id === after) + 1;
  if (after !== null && from === 0) problems.wrong('after', 'an id that is in the list');
  problems.throwIfAny();
  const some = all.slice(from, from + limit);
  return {
    object: 'list',
    data: some.map(reply),
    first_id: some[0]?.id ?? null,
    last_id: some.at(-1)?.id ?? null,
    has_more: from + limit < all.length,
  };
}

export function filesRoute(exchange: Exchange): Reply {
  const { store } = batchesOf(exchange);
  const query = queryOf(exchange, ['limit', 'after', 'order', 'purpose']);
  const [order, purpose] = [query.get('order') ?? 'desc', query.get('purpose')];
  const problems = new Problems();
  if (order !== 'asc' && order !== 'desc') problems.wrong('order', 'asc or desc');
  problems.throwIfAny();
  const files = store
    .filesOf(exchange.caller.name)
    .filter((file) => purpose === null || file.purpose === purpose);
  return listed(order === 'asc' ? files.toReversed() : files, query, fileReply);
}

export const fileRoute = (exchange: Exchange, id: string): Reply =>
  fileReply(batchesOf(exchange).store.file(id, exchange.caller.name));

export async function fileContentRoute(exchange: Exchange, id: string): Promise<Reply> {
  const { store } = batchesOf(exchange);
  const { state, outgoing, headers, caller } = exchange;
  const { bytes } = store.file(id, caller.name);
  outgoing.writeHead(200, {
    ...headers,
    'content-type': 'application/octet-stream',
    'content-length': String(bytes),
  });
  outgoing.setTimeout(state.policy.limits.stallTimeout, () => outgoing.destroy());
  await pipeline(createReadStream(store.pathOf(id)), outgoing).catch((error: unknown) => {
    const { code } = error as { readonly code?: unknown };
    if (code !== 'ERR_STREAM_PREMATURE_CLOSE' && code !== 'ECONNRESET') throw error;
    throw new ClientGone('the reader of the file went away, or takes nothing');
  });
  return undefined;
}

export async function deleteFileRoute(exchange: Exchange, id: string): Promise<Reply> {
  const { store } = batchesOf(exchange);
  store.file(id, exchange.caller.name);
  if (store.unfinished.some(({ input_file_id: input }) => input === id)) {
    throw new ApiError(400, 'invalid_value', 'a batch is working on the file; cancel it first');
  }
  await store.deleteFile(id);
  return { id, object: 'file', deleted: true };
}

/** `POST /v1/batches`. */
export function createBatchRoute(exchange: Exchange): Promise<Reply> {
  const batches = batchesOf(exchange);
  const { caller } = exchange;
  return withWork(exchange, async ({ parsed }) => {
    const problems = new Problems();
    const fields = new Fields(parsed.body, problems);
    fields.refuseOthers([
      'input_file_id',
      'endpoint',
      'completion_window',
      'metadata',
      'output_expires_after',
    ]);
    const input = fields.text('input_file_id', 64, 1);
    const endpoint = fields.word('endpoint', ...BATCH_URLS);
    if (input === undefined) problems.wrong('input_file_id', 'the id of a file');
    if (endpoint === undefined) problems.wrong('endpoint', BATCH_URLS.join(' or '));
    if (fields.word('completion_window', '24h') === undefined)
      problems.wrong('completion_window', '24h');
    if (fields.raw('output_expires_after') !== undefined)
      problems.unsupported('output_expires_after');
    const metadata = fields.raw('metadata');
    const isTexts =
      isObject(metadata) &&
      Object.values(metadata).every((one) => typeof one === 'string' && one.length <= 512);
    if (metadata !== undefined && !(isTexts && Object.keys(metadata).length <= 16)) {
      problems.wrong('metadata', 'up to 16 names with texts');
    }
    problems.throwIfAny();
    const file = batches.store.file(input ?? '', caller.name);
    if (file.purpose !== 'batch') {
      throw new ApiError(400, 'invalid_value', 'input_file_id: expected a file of purpose batch', {
        param: 'input_file_id',
      });
    }
    const created = seconds();
    const none = { output_file_id: null, error_file_id: null, errors: null };
    const batch: StoredBatch = {
      ...{
        id: newId('batch_'),
        owner: caller.name,
        rights: [...caller.rights],
        status: 'validating',
      },
      ...{ endpoint: endpoint ?? '', input_file_id: file.id, ...none },
      ...{ created_at: created, expires_at: created + WINDOW_SECONDS },
      metadata: isTexts ? (metadata as Record<string, string>) : null,
      request_counts: { total: 0, completed: 0, failed: 0 },
      ...{ in_progress_at: null, finalizing_at: null, completed_at: null, failed_at: null },
      ...{ expired_at: null, cancelling_at: null, cancelled_at: null },
    };
    await batches.store.saveBatch(batch);
    batches.wake();
    return batchReply(batch);
  });
}

export function batchesRoute(exchange: Exchange): Reply {
  const all = batchesOf(exchange).store.batchesOf(exchange.caller.name);
  return listed(all, queryOf(exchange, ['limit', 'after']), batchReply);
}

export const batchRoute = (exchange: Exchange, id: string): Reply =>
  batchReply(batchesOf(exchange).store.batch(id, exchange.caller.name));

export async function cancelBatchRoute(exchange: Exchange, id: string): Promise<Reply> {
  const batches = batchesOf(exchange);
  const batch = batches.store.batch(id, exchange.caller.name);
  await batches.cancel(batch);
  return batchReply(batch);
}
