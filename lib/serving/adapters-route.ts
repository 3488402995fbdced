/**
 * Adapters loaded and unloaded while the server runs, by plain names below one folder or from runs that are watched; caches
 * forgotten. For administrators.
 */
import { realpath } from 'node:fs/promises';
import { join, sep } from 'node:path';

import { CheckpointError, InvalidArgumentError } from '../errors.js';
import { ApiError } from './api-error.js';
import type { Exchange, Reply } from './exchange.js';
import { findCheckpoint } from './run-checkpoints.js';
import { noSuchRun, watchedRuns } from './runs-route.js';
import { type Body, Fields, Problems } from './values.js';
import { withWork } from './work.js';

/** Neither a path nor hidden. */
const PLAIN = /^[A-Za-z0-9_][\w.-]{0,127}$/;

/** As it was asked for: a name below the folder, or a checkpoint of a run. */
interface Form {
  readonly name: string | undefined;
  readonly scale: number | undefined;
  readonly from: { readonly run: string; readonly checkpoint: string } | undefined;
}

/** What is to be loaded. */
interface Wanted {
  readonly folder: string;
  /** Under which it is served. */
  readonly name: string;
  /** The field that says where it lies. */
  readonly param: 'name' | 'checkpoint';
  /** Undefined where it is there still. */
  readonly missing: () => Promise<ApiError | undefined>;
}

/** @throws ApiError 404 where no folder is given */
function rootOf({ state }: Exchange, param?: string): string {
  const { adaptersRoot } = state.policy;
  if (adaptersRoot !== undefined) return adaptersRoot;
  const message = 'this server was started without --adapters-root';
  throw new ApiError(404, 'unsupported_endpoint', message, { param });
}

/** @throws ApiError 404 where there is nothing that adapters could come from */
function checkSources({ state }: Exchange): void {
  if (state.policy.adaptersRoot !== undefined || state.runs !== undefined) return;
  const message = 'this server was started without --adapters-root and without --runs';
  throw new ApiError(404, 'unsupported_endpoint', message);
}

/** @throws ApiError 400 naming all that is wrong */
function readForm(body: Body): Form {
  const problems = new Problems();
  const fields = new Fields(body, problems);
  fields.refuseOthers(['name', 'run', 'checkpoint', 'scale']);
  const name = fields.text('name', 128, 1);
  const run = fields.text('run', 600, 1);
  const checkpoint = fields.text('checkpoint', 128, 1);
  const scale = fields.number('scale', -1000, 1000);
  const [hasRun, hasCheckpoint] = [fields.raw('run'), fields.raw('checkpoint')].map(
    (value) => value !== undefined,
  );
  const isOfRun = hasRun === true || hasCheckpoint === true;
  if (isOfRun && hasRun === false) problems.wrong('run', 'the id of a run beside checkpoint');
  if (isOfRun && hasCheckpoint === false) {
    problems.wrong('checkpoint', 'the id of a checkpoint beside run');
  }
  if (!isOfRun && !PLAIN.test(name ?? '')) {
    problems.wrong('name', 'a plain folder name, or run and checkpoint');
  }
  if (isOfRun && name !== undefined && !PLAIN.test(name)) problems.wrong('name', 'a plain name');
  problems.throwIfAny();
  const from = run !== undefined && checkpoint !== undefined ? { run, checkpoint } : undefined;
  return { name, scale, from };
}

/** Both names in characters of plain ones; of long ones the end, which tells checkpoints apart. */
function nameOf(run: string, checkpoint: string): string {
  const joined = `${run}-${checkpoint}`.replace(/[^A-Za-z0-9_.-]+/g, '-');
  return joined.slice(-128).replace(/^[.-]+/, '');
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

/** @throws ApiError 404 */
async function wantedOf(exchange: Exchange, { name, from }: Form): Promise<Wanted> {
  if (from === undefined) {
    const plain = name ?? '';
    const folder = await folderOf(rootOf(exchange, 'name'), plain);
    return { folder, name: plain, param: 'name', missing: () => Promise.resolve(undefined) };
  }
  const { run: id, checkpoint } = from;
  const run = await watchedRuns(exchange, 'run').folderOf(id);
  if (run === undefined) throw noSuchRun('run');
  const found = await findCheckpoint(run, checkpoint);
  const none = (): ApiError =>
    new ApiError(404, 'checkpoint_not_found', 'the run has no such checkpoint with an adapter', {
      param: 'checkpoint',
    });
  if (found === undefined) throw none();
  return {
    ...{ folder: found.folder, name: name ?? nameOf(id, checkpoint), param: 'checkpoint' },
    missing: async () =>
      (await findCheckpoint(run, checkpoint)) === undefined ? none() : undefined,
  };
}

/** @throws ApiError */
export function loadAdapterRoute(exchange: Exchange): Promise<Reply> {
  checkSources(exchange);
  return withWork(exchange, async ({ parsed }) => {
    const { catalogue, model } = exchange.state;
    const form = readForm(parsed.body);
    const wanted = await wantedOf(exchange, form);
    const { folder, name } = wanted;
    try {
      await catalogue.load(name, () => model.loadAdapter(folder, { name, scale: form.scale }));
    } catch (error) {
      if (!isAdapters(error)) throw error;
      // Training deletes old checkpoints whoever reads them.
      throw (await wanted.missing()) ?? refused(error, wanted);
    }
    return catalogue.entry(name);
  });
}

const isAdapters = (error: unknown): error is CheckpointError | InvalidArgumentError =>
  error instanceof CheckpointError || error instanceof InvalidArgumentError;

/** The server's paths are nobody's business. */
function refused(
  error: CheckpointError | InvalidArgumentError,
  { folder, name, param }: Wanted,
): ApiError {
  const text = [error.message, ...error.details].join('; ').replaceAll(folder, name);
  return new ApiError(400, 'invalid_adapter', text, { param, cause: error });
}

/** Requests that work with it end first. @throws ApiError */
export async function unloadAdapterRoute(exchange: Exchange, name: string): Promise<Reply> {
  checkSources(exchange);
  await exchange.state.catalogue.unload(name);
  return { id: name, object: 'model', deleted: true };
}

export async function clearCacheRoute(exchange: Exchange): Promise<Reply> {
  rootOf(exchange);
  await exchange.state.model.clearCaches();
  return { object: 'facellm.cache', cleared: true };
}
