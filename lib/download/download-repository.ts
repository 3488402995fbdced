/** A repository of the hub into the local cache. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { hubCacheFolder, offlineSetting, repositoryName } from '../checkpoint/index.js';
import { createError } from '../errors.js';
import { loadDownloadPackages } from '../packages/download.js';
import { findToken, hubEndpoint } from './environment.js';
import type { OnDownload } from './events.js';
import { HttpClient } from './http.js';
import { type Listing, listRepository, type RemoteFile, type Repository } from './hub-listing.js';
import { RepositoryCache } from './hub-snapshot.js';
import { selects } from './patterns.js';
import type { Asked } from './refusal.js';
import { isUnreachable, type RetryOptions } from './retry.js';
import { writeError } from './transfer.js';
import { transferAll } from './transfer-all.js';
import { waitForFolder } from './wait-lock.js';

export interface RepositoryOptions {
  readonly revision?: string | undefined;
  readonly include?: readonly string[] | undefined;
  readonly token?: string | undefined;
  readonly filesAtOnce?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: OnDownload | undefined;
  readonly dryRun?: boolean | undefined;
  readonly env: NodeJS.ProcessEnv;
  /** First wait between tries; for tests. */
  readonly retryMs?: number | undefined;
}

export interface DownloadedRepository {
  readonly kind: 'model' | 'dataset';
  /** The snapshot, complete but for what `include` left out; with `dryRun` it need not be there. */
  readonly directory: string;
  readonly commit: string;
  /** Paths in it, of those that were asked for; empty where the hub was not asked. */
  readonly files: readonly string[];
  /** Size of them all. */
  readonly bytes: number;
  /** Came over the network now. */
  readonly bytesFetched: number;
  readonly license: string | undefined;
  /** The hub was not asked or did not answer: this is what the cache holds. */
  readonly isOffline: boolean;
}

const FILES_AT_ONCE = 8;

/** @throws DownloadError; InvalidArgumentError FACELLM_INVALID_ARGUMENT; the signal's reason */
export async function downloadRepository(
  repository: Repository,
  options: RepositoryOptions,
): Promise<DownloadedRepository> {
  const { env, revision = 'main', signal, onEvent, retryMs } = options;
  const endpoint = hubEndpoint(env);
  const cache = hubCacheFolder(env);
  const repositoryFolder = repositoryName(repository.type, repository.id);
  const cached = new RepositoryCache(join(cache.path, repositoryFolder));
  const offline = offlineSetting(env);
  if (offline !== undefined) {
    const reason = `${offline} is set`;
    const found = await takeCached(cached, repository, revision, reason, onEvent);
    if (found !== undefined) return found;
    throw createError(
      'FACELLM_DOWNLOAD_FAILED',
      `${repository.id} (${revision}) is not in the cache at ${cache.path}, and ${reason}; unset it, or copy the cache over`,
    );
  }
  await loadDownloadPackages();
  const token = await findToken(options.token, env);
  const asked: Asked = {
    what: `${repository.type} ${repository.id}`,
    page: `${endpoint}/${repository.type === 'dataset' ? 'datasets/' : ''}${repository.id}`,
    ...{ revision, token },
  };
  const client = new HttpClient({ env, token, origin: endpoint, signal });
  try {
    const onWait = (reason: string, seconds: number): void =>
      onEvent?.({ type: 'wait', reason, seconds });
    const retry: RetryOptions = { signal, onWait, retryMs };
    let listing: Listing;
    try {
      listing = await listRepository(repository, revision, endpoint, client, asked, retry);
    } catch (error) {
      if (!isUnreachable(error)) throw error;
      const { message } = error as Error;
      const found = await takeCached(cached, repository, revision, message, onEvent);
      if (found === undefined) throw error;
      return found;
    }
    const files = chosen(listing, options.include, asked.what);
    const source = { client, asked, endpoint, revision };
    const work = (): Promise<DownloadedRepository> =>
      fetchInto(cached, repository, { ...listing, files }, options, source);
    // A cache in which all is there may be one that cannot be written to.
    if (options.dryRun === true || (await cached.isWhole(files, listing.commit, revision))) {
      return await work();
    }
    const lock = join(cache.path, '.locks', repositoryFolder);
    const release = await waitForFolder(lock, signal, onEvent);
    try {
      return await work();
    } finally {
      await release();
    }
  } finally {
    await client.close();
  }
}

async function takeCached(
  cached: RepositoryCache,
  { type }: Repository,
  revision: string,
  reason: string,
  onEvent: OnDownload | undefined,
): Promise<DownloadedRepository | undefined> {
  const found = await cached.find(revision);
  if (found === undefined) return undefined;
  onEvent?.({ type: 'offline', reason });
  const nothing = { files: [], bytes: 0, bytesFetched: 0, license: undefined };
  return { kind: type, ...found, ...nothing, isOffline: true };
}

function chosen(
  { files }: Listing,
  include: readonly string[] | undefined,
  what: string,
): readonly RemoteFile[] {
  const found = files.filter(({ path }) => selects(include)(path));
  if (found.length > 0 || files.length === 0) return found;
  throw createError(
    'FACELLM_INVALID_ARGUMENT',
    `none of the ${files.length} files of ${what} matches ${(include ?? []).join(', ')}`,
    { details: files.slice(0, 50).map(({ path }) => path) },
  );
}

interface Source {
  readonly client: HttpClient;
  readonly asked: Asked;
  readonly endpoint: string;
  readonly revision: string;
}

async function fetchInto(
  cached: RepositoryCache,
  repository: Repository,
  { commit, license, files }: Listing,
  options: RepositoryOptions,
  { client, asked, endpoint, revision }: Source,
): Promise<DownloadedRepository> {
  const { signal, onEvent, retryMs, filesAtOnce = FILES_AT_ONCE } = options;
  const directory = cached.snapshot(commit);
  const states = await Promise.all(files.map((file) => cached.has(file, commit)));
  // Files of the same content are one blob.
  const missing = new Map(
    files.flatMap((file, i) => (states[i]?.isHere ? [] : [[file.hash.hex, file] as const])),
  );
  const bytes = sizeOf(files);
  const partial = await Promise.all([...missing.values()].map((file) => cached.partialSize(file)));
  const bytesMissing =
    sizeOf([...missing.values()]) - partial.reduce((total, size) => total + size, 0);
  onEvent?.({
    ...{ type: 'plan', source: `${asked.what} at ${commit}`, license, directory },
    files: files.map(({ path, size, hash }) => ({
      ...{ path, size, hash: `${hash.algorithm}:${hash.hex}` },
    })),
    ...{ bytesTotal: bytes, bytesHere: bytes - bytesMissing },
  });
  const result = { kind: repository.type, directory, commit, license, isOffline: false, bytes };
  const paths = files.map(({ path }) => path);
  const isWhole = await cached.isWhole(files, commit, revision);
  if (options.dryRun === true || isWhole) return { ...result, files: paths, bytesFetched: 0 };
  const blobs = join(cached.folder, 'blobs');
  await mkdir(blobs, { recursive: true }).catch((cause: unknown) => {
    throw writeError(blobs, cause);
  });
  const transfers = [...missing.values()].map((file) => ({
    url: fileAddress(endpoint, repository, commit, file.path),
    ...{ name: file.path, size: file.size, hash: file.hash },
    ...{ partial: cached.partial(file), target: cached.blob(file) },
  }));
  await transferAll(transfers, {
    ...{ client, asked, signal, onEvent, retryMs, filesAtOnce, folder: blobs },
    ...{ bytesHere: bytes - sizeOf([...missing.values()]), filesHere: files.length - missing.size },
  });
  await cached.link(files, commit);
  await cached.name(revision, commit);
  return { ...result, files: paths, bytesFetched: bytesMissing };
}

function sizeOf(files: readonly RemoteFile[]): number {
  return files.reduce((total, { size }) => total + size, 0);
}

function fileAddress(
  endpoint: string,
  { type, id }: Repository,
  commit: string,
  path: string,
): string {
  const prefix = type === 'dataset' ? 'datasets/' : '';
  const steps = path.split('/').map(encodeURIComponent).join('/');
  return `${endpoint}/${prefix}${id}/resolve/${commit}/${steps}`;
}
