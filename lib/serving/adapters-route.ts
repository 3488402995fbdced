/** Adapters loaded and unloaded while the server runs, by plain names below one folder; caches forgotten. For administrators. */
import { realpath } from 'node:fs/promises';
import { join, sep } from 'node:path';

import { CheckpointError, InvalidArgumentError } from '../errors.js';
import { ApiError } from './api-error.js';
import type { Exchange, Reply } from './exchange.js';
import { Fields, Problems } from './values.js';
import { withWork } from './work.js';

/** Neither a path nor hidden. */
const PLAIN = /^[A-Za-z0-9_][\w.-]{0,127}$/;

/** @throws ApiError 404 where no folder is given */
function rootOf({ state }: Exchange): string {
  const { adaptersRoot } = state.policy;
  if (adaptersRoot !== undefined) return adaptersRoot;
  throw new ApiError(
    404,
    'unsupported_endpoint',
    'this server was started without --adapters-root',
  );
}

/**
 * The folder of that name. One that is absent, or leads elsewhere by a link, is not there.
 *
 * @throws ApiError 404
 */
async function folderOf(root: string, name: string): Promise<string> {
  const missing = new ApiError(404, 'model_not_found', 'there is no such folder below it', {
    param: 'name',
  });
  try {
    const [base, folder] = await Promise.all([realpath(root), realpath(join(root, name))]);
    if (folder === join(base, name) && folder.startsWith(base + sep)) return folder;
  } catch {
    // Absent and unreadable look the same.
  }
  throw missing;
}

export function loadAdapterRoute(exchange: Exchange): Promise<Reply> {
  const root = rootOf(exchange);
  return withWork(exchange, async ({ parsed }) => {
    const { state } = exchange;
    const problems = new Problems();
    const fields = new Fields(parsed.body, problems);
    fields.refuseOthers(['name', 'scale']);
    const name = fields.text('name', 128, 1) ?? '';
    const scale = fields.number('scale', -1000, 1000);
    if (!PLAIN.test(name)) problems.wrong('name', 'a plain folder name');
    problems.throwIfAny();
    const folder = await folderOf(root, name);
    try {
      await state.catalogue.load(name, () => state.model.loadAdapter(folder, { name, scale }));
    } catch (error) {
      throw isAdapters(error) ? refused(error, folder, name) : error;
    }
    return state.catalogue.entry(name);
  });
}

const isAdapters = (error: unknown): error is CheckpointError | InvalidArgumentError =>
  error instanceof CheckpointError || error instanceof InvalidArgumentError;

/** The server's paths are nobody's business. */
function refused(
  error: CheckpointError | InvalidArgumentError,
  folder: string,
  name: string,
): ApiError {
  const text = [error.message, ...error.details].join('; ').replaceAll(folder, name);
  return new ApiError(400, 'invalid_adapter', text, { param: 'name', cause: error });
}

/** Requests that work with it end first. */
export async function unloadAdapterRoute(exchange: Exchange, name: string): Promise<Reply> {
  rootOf(exchange);
  await exchange.state.catalogue.unload(name);
  return { id: name, object: 'model', deleted: true };
}

export async function clearCacheRoute(exchange: Exchange): Promise<Reply> {
  rootOf(exchange);
  await exchange.state.model.clearCaches();
  return { object: 'facellm.cache', cleared: true };
}
