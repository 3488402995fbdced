/**
 * From what the caller names, a folder or a hub id, to a local folder. Hub ids are looked up in the
 * local Hugging Face cache the way huggingface_hub lays it out (models--org--name/refs, snapshots);
 * nothing is ever fetched.
 */
import { readdir, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';

import { createError, type FaceLlmError } from '../errors.js';
import { readOptionalText } from '../files/index.js';

export interface ResolveOptions {
  /** Folder inside the checkpoint's folder or repository. */
  readonly subfolder?: string;
  /** Branch, tag or full commit hash of a hub id; default `main`. */
  readonly revision?: string;
  /** Default `process.env`. */
  readonly env?: NodeJS.ProcessEnv;
}

type Kind = 'folder' | 'file' | 'absent';

async function kindOf(path: string): Promise<Kind> {
  try {
    return (await stat(path)).isDirectory() ? 'folder' : 'file';
  } catch {
    return 'absent';
  }
}

/** Inside its parent: no way up, no absolute path, no empty step. */
function isInnerPath(path: string): boolean {
  return !isAbsolute(path) && path.split(/[\\/]/).every((step) => !['', '.', '..'].includes(step));
}

function isHubId(model: string): boolean {
  const name = '[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?';
  return new RegExp(`^${name}/${name}$`).test(model) && !/--|\.\./.test(model);
}

/** The cache folder and the setting it came from; the first one set counts. */
export function hubCacheFolder(env: NodeJS.ProcessEnv): { path: string; source: string } {
  const home = env['HOME'] || homedir();
  const expand = (path: string): string => resolve(path.replace(/^~(?=$|\/)/, home));
  for (const source of ['HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE']) {
    const path = env[source];
    if (path) return { path: expand(path), source };
  }
  if (env['HF_HOME']) return { path: join(expand(env['HF_HOME']), 'hub'), source: 'HF_HOME' };
  const cache = env['XDG_CACHE_HOME'];
  if (cache) return { path: join(expand(cache), 'huggingface', 'hub'), source: 'XDG_CACHE_HOME' };
  return { path: join(home, '.cache', 'huggingface', 'hub'), source: 'default' };
}

/** The commit that `revision` stands for in a cached repository, if it is known there. */
async function findCommit(repository: string, revision: string): Promise<string | undefined> {
  if (/^[0-9a-f]{40}$/.test(revision)) return revision;
  const path = join(repository, 'refs', revision);
  // A revision such as `a/b` may lie below or above another one's file.
  if ((await kindOf(path)) !== 'file') return undefined;
  const commit = (
    await readOptionalText(path, {
      unreadable: 'FACELLM_HUB_NOT_CACHED',
      invalid: 'FACELLM_HUB_NOT_CACHED',
    })
  )?.trim();
  return commit !== undefined && isInnerPath(commit) && !commit.includes('/') ? commit : undefined;
}

async function listFolder(path: string): Promise<readonly string[]> {
  try {
    return await readdir(path);
  } catch {
    return [];
  }
}

interface Request {
  readonly model: string;
  readonly revision: string;
  readonly subfolder: string | undefined;
  readonly env: NodeJS.ProcessEnv;
}

function notCached(request: Request, looked: readonly string[]): FaceLlmError {
  const { model, revision, subfolder, env } = request;
  const options = [
    revision === 'main' ? '' : ` --revision ${revision}`,
    subfolder === undefined ? '' : ` --include "${subfolder}/*"`,
  ].join('');
  const offline = ['HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE'].find((name) => env[name]);
  const offlineText =
    offline === undefined ? '' : ` (${offline} is set: unset it for that, or copy the cache over)`;
  return createError(
    'FACELLM_HUB_NOT_CACHED',
    `${model} is neither a folder nor in the local Hugging Face cache, and facellm does not fetch ` +
      `models: run "hf download ${model}${options}" (older: "huggingface-cli download") ` +
      `first${offlineText}, or pass the path of its folder. Looked in: ${looked.join('; ')}`,
    { details: looked },
  );
}

async function resolveHubId(request: Request): Promise<string> {
  const { model, revision, subfolder } = request;
  const cache = hubCacheFolder(request.env);
  const repository = join(cache.path, `models--${model.replace('/', '--')}`);
  const looked = [`${resolve(model)}: no such folder`];
  if ((await kindOf(repository)) !== 'folder') {
    looked.push(`${repository} (cache by ${cache.source}): no such folder`);
    throw notCached(request, looked);
  }
  const commit = await findCommit(repository, revision);
  if (commit === undefined) {
    const known = await listFolder(join(repository, 'refs'));
    const has = known.length === 0 ? 'no revision' : known.join(', ');
    looked.push(`${join(repository, 'refs', revision)} (cache by ${cache.source}): has ${has}`);
    throw notCached(request, looked);
  }
  const snapshot = join(repository, 'snapshots', commit);
  const folder = subfolder === undefined ? snapshot : join(snapshot, subfolder);
  if ((await kindOf(folder)) === 'folder') return folder;
  looked.push(`${folder} (cache by ${cache.source}): no such folder`);
  throw notCached(request, looked);
}

function checkInner(name: string, value: string | undefined): void {
  if (value === undefined || isInnerPath(value)) return;
  throw createError(
    'FACELLM_INVALID_ARGUMENT',
    `${name} must be a relative path without "..", received ${JSON.stringify(value)}`,
  );
}

/**
 * The local folder of a checkpoint, absolute. `model` is a path (an existing folder wins) or a hub
 * id such as `org/name`. Errors: FACELLM_HUB_NOT_CACHED tells where it looked and how to get the
 * model, FACELLM_CHECKPOINT_NOT_FOUND, FACELLM_INVALID_ARGUMENT.
 */
export async function resolveCheckpoint(
  model: string,
  options: ResolveOptions = {},
): Promise<string> {
  const { revision = 'main', env = process.env } = options;
  const subfolder = options.subfolder === '' ? undefined : options.subfolder;
  if (model.trim() === '' || model.includes('\0')) {
    throw createError('FACELLM_INVALID_ARGUMENT', 'expected a folder or a hub id, received none');
  }
  checkInner('subfolder', subfolder);
  checkInner('revision', revision);

  const path = resolve(model);
  const kind = await kindOf(path);
  if (kind === 'absent' && isHubId(model)) {
    return resolveHubId({ model, revision, subfolder, env });
  }
  const folder = subfolder === undefined ? path : join(path, subfolder);
  const folderKind = kind === 'folder' ? await kindOf(folder) : kind;
  if (folderKind === 'folder') return folder;
  const found = kind === 'file' || folderKind === 'file' ? 'is a file' : 'does not exist';
  throw createError(
    'FACELLM_CHECKPOINT_NOT_FOUND',
    `${kind === 'folder' ? folder : path} ${found}; expected a checkpoint folder with config.json ` +
      'and safetensors files, or a hub id such as org/name',
  );
}
