/**
 * From what the caller names, a folder or a hub id, to a local folder. Hub ids are looked up in the
 * local Hugging Face cache; nothing is fetched here (lib/download does).
 */
import { join, resolve } from 'node:path';

import { createError, type FaceLlmError } from '../errors.js';
import {
  findCommit,
  hubCacheFolder,
  isHubId,
  isInnerPath,
  kindOfPath,
  listFolder,
  offlineSetting,
  repositoryName,
} from './hub-cache.js';

export interface ResolveOptions {
  /** Folder inside the checkpoint's folder or repository. */
  readonly subfolder?: string;
  /** Branch, tag or full commit hash of a hub id; default `main`. */
  readonly revision?: string;
  /** Default `process.env`. */
  readonly env?: NodeJS.ProcessEnv;
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
  const offline = offlineSetting(env);
  const offlineText =
    offline === undefined ? '' : ` (${offline} is set: unset it for that, or copy the cache over)`;
  return createError(
    'FACELLM_HUB_NOT_CACHED',
    `${model} is neither a folder nor in the local Hugging Face cache: run "facellm download ` +
      `${model}${options}" first${offlineText}, load it with --download (download: true), or pass the path of ` +
      `its folder. Looked in: ${looked.join('; ')}`,
    { details: looked },
  );
}

async function resolveHubId(request: Request): Promise<string> {
  const { model, revision, subfolder } = request;
  const cache = hubCacheFolder(request.env);
  const repository = join(cache.path, repositoryName('model', model));
  const looked = [`${resolve(model)}: no such folder`];
  if ((await kindOfPath(repository)) !== 'folder') {
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
  if ((await kindOfPath(folder)) === 'folder') return folder;
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
  const kind = await kindOfPath(path);
  if (kind === 'absent' && isHubId(model)) {
    return resolveHubId({ model, revision, subfolder, env });
  }
  const folder = subfolder === undefined ? path : join(path, subfolder);
  const folderKind = kind === 'folder' ? await kindOfPath(folder) : kind;
  if (folderKind === 'folder') return folder;
  const found = kind === 'file' || folderKind === 'file' ? 'is a file' : 'does not exist';
  throw createError(
    'FACELLM_CHECKPOINT_NOT_FOUND',
    `${kind === 'folder' ? folder : path} ${found}; expected a checkpoint folder with config.json ` +
      'and safetensors files, or a hub id such as org/name',
  );
}
