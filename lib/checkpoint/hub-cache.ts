/**
 * The local Hugging Face cache as huggingface_hub lays it out: models--org--name with blobs/, named after what is in
 * them, snapshots/COMMIT/ of links to these, and refs/REVISION, which name commits.
 */
import { readdir, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';

import { readOptionalText } from '../files/index.js';

export type RepositoryType = 'model' | 'dataset';

export type PathKind = 'folder' | 'file' | 'absent';

export async function kindOfPath(path: string): Promise<PathKind> {
  try {
    return (await stat(path)).isDirectory() ? 'folder' : 'file';
  } catch {
    return 'absent';
  }
}

/** Inside its parent: no way up, no absolute path, no empty step. */
export function isInnerPath(path: string): boolean {
  return !isAbsolute(path) && path.split(/[\\/]/).every((step) => !['', '.', '..'].includes(step));
}

export function isHubId(model: string): boolean {
  const name = '[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?';
  return new RegExp(`^${name}/${name}$`).test(model) && !/--|\.\./.test(model);
}

export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}

function expand(path: string, env: NodeJS.ProcessEnv): string {
  return resolve(path.replace(/^~(?=$|\/)/, env['HOME'] || homedir()));
}

/** The folder of everything that the hub's tools keep, and the setting that it came from. */
export function hubHome(env: NodeJS.ProcessEnv): { path: string; source: string } {
  if (env['HF_HOME']) return { path: expand(env['HF_HOME'], env), source: 'HF_HOME' };
  const cache = env['XDG_CACHE_HOME'];
  if (cache) return { path: join(expand(cache, env), 'huggingface'), source: 'XDG_CACHE_HOME' };
  return { path: expand('~/.cache/huggingface', env), source: 'default' };
}

/** The cache folder and the setting it came from; the first one set counts. */
export function hubCacheFolder(env: NodeJS.ProcessEnv): { path: string; source: string } {
  for (const source of ['HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE']) {
    const path = env[source];
    if (path) return { path: expand(path, env), source };
  }
  const { path, source } = hubHome(env);
  return { path: join(path, 'hub'), source };
}

/** What the hub's tools call a repository's folder. */
export function repositoryName(type: RepositoryType, id: string): string {
  return `${type}s--${id.replace('/', '--')}`;
}

/** The commit that `revision` stands for in a cached repository, if it is known there. */
export async function findCommit(
  repository: string,
  revision: string,
): Promise<string | undefined> {
  if (isCommit(revision)) return revision;
  const path = join(repository, 'refs', revision);
  // A revision such as `a/b` may lie below or above another one's file.
  if ((await kindOfPath(path)) !== 'file') return undefined;
  const codes = {
    unreadable: 'FACELLM_HUB_NOT_CACHED',
    invalid: 'FACELLM_HUB_NOT_CACHED',
  } as const;
  const commit = (await readOptionalText(path, codes))?.trim();
  return commit !== undefined && isInnerPath(commit) && !commit.includes('/') ? commit : undefined;
}

export async function listFolder(path: string): Promise<readonly string[]> {
  try {
    return await readdir(path);
  } catch {
    return [];
  }
}

/** The variable that forbids asking the hub, if one is set as huggingface_hub reads it. */
export function offlineSetting(env: NodeJS.ProcessEnv): string | undefined {
  return ['HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE'].find((name) =>
    /^(1|on|yes|true)$/i.test(env[name] ?? ''),
  );
}
