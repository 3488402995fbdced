/** What a repository of the hub holds at a revision. */
import { isCommit, isInnerPath, type RepositoryType } from '../checkpoint/index.js';
import { createError } from '../errors.js';
import { loadDownloadPackages } from '../packages/download.js';
import { type ExpectedHash, isHash } from './hashes.js';
import { firstHeader, type HttpClient } from './http.js';
import { type Asked, refusal } from './refusal.js';
import { networkFailure, type RetryOptions, withRetries } from './retry.js';

export interface Repository {
  readonly type: RepositoryType;
  /** `org/name`. */
  readonly id: string;
}

export interface RemoteFile {
  readonly path: string;
  readonly size: number;
  readonly hash: ExpectedHash;
}

export interface Listing {
  readonly commit: string;
  readonly license: string | undefined;
  readonly files: readonly RemoteFile[];
}

/** A listing of a hundred thousand files is some 30 MB. */
const MOST_TEXT = 256 * 2 ** 20;

/** The text of an answer of status 200; other answers and failures as {@link withRetries}. */
export async function getText(
  client: HttpClient,
  url: string,
  asked: Asked,
  retry: RetryOptions,
): Promise<{ readonly text: string; readonly link: string | undefined }> {
  return withRetries(
    asked.what,
    async () => {
      const answer = await client.get(url, { accept: 'application/json' });
      if (answer.status !== 200) {
        await answer.body.dump();
        throw refusal(answer, asked, answer.url.origin === new URL(url).origin);
      }
      const pieces: Buffer[] = [];
      let length = 0;
      try {
        for await (const piece of answer.body as AsyncIterable<Buffer>) {
          pieces.push(piece);
          length += piece.length;
          if (length > MOST_TEXT) break;
        }
      } catch (cause) {
        throw networkFailure(cause, answer.url.host);
      }
      if (length > MOST_TEXT) throw notUnderstood(asked.what, 'its listing has no end');
      return { text: Buffer.concat(pieces).toString(), link: firstHeader(answer, 'link') };
    },
    retry,
  );
}

/** What the hub's library calls in place of fetch: our proxies, token, retries and errors. */
function fetchOf(client: HttpClient, asked: Asked, retry: RetryOptions): typeof fetch {
  return async (input) => {
    const url = input instanceof Request ? input.url : String(input);
    const { text, link } = await getText(client, url, asked, retry);
    return new Response(text, { headers: link === undefined ? {} : { link } });
  };
}

/**
 * @throws DownloadError FACELLM_DOWNLOAD_REFUSED, FACELLM_DOWNLOAD_FAILED
 */
export async function listRepository(
  repository: Repository,
  revision: string,
  endpoint: string,
  client: HttpClient,
  asked: Asked,
  retry: RetryOptions,
): Promise<Listing> {
  const { type, id: name } = repository;
  const options = { hubUrl: endpoint, fetch: fetchOf(client, asked, retry) };
  const { datasetInfo, listFiles, modelInfo } = (await loadDownloadPackages()).hub;
  try {
    const asking = { name, revision, ...options };
    const info =
      type === 'model'
        ? await modelInfo({ ...asking, additionalFields: ['sha', 'tags'] })
        : await datasetInfo({ ...asking, additionalFields: ['sha', 'tags'] });
    if (typeof info.sha !== 'string' || !isCommit(info.sha)) {
      throw notUnderstood(asked.what, 'it names no commit');
    }
    const files: RemoteFile[] = [];
    const problems: string[] = [];
    const repo = { type, name };
    for await (const entry of listFiles({
      repo,
      revision: info.sha,
      recursive: true,
      ...options,
    })) {
      if (entry.type !== 'file') continue;
      const { path, size, lfs, oid } = entry;
      const hash: ExpectedHash =
        lfs === undefined
          ? { algorithm: 'git-blob', hex: String(oid) }
          : { algorithm: 'sha256', hex: lfs.oid };
      if (!isSafePath(path)) problems.push(`${JSON.stringify(path)}: not a path inside a folder`);
      if (!isHash(hash.algorithm, hash.hex)) problems.push(`${path}: no hash to check it by`);
      if (!Number.isSafeInteger(size) || size < 0) problems.push(`${path}: no size`);
      files.push({ path, size: lfs?.size ?? size, hash });
    }
    if (problems.length > 0) throw notUnderstood(asked.what, 'its listing is faulty', problems);
    const license = info.tags?.find((tag) => tag.startsWith('license:'))?.slice('license:'.length);
    return { commit: info.sha, license, files };
  } catch (cause) {
    if (cause instanceof SyntaxError || cause instanceof TypeError) {
      throw notUnderstood(asked.what, `no JSON of a hub (${cause.message})`);
    }
    throw cause;
  }
}

/** One that stays inside the folder that it is put in, and says nothing to a terminal. */
export function isSafePath(path: unknown): path is string {
  return typeof path === 'string' && isInnerPath(path) && !/[\u0000-\u001f\u007f\\]/.test(path);
}

export function notUnderstood(what: string, why: string, details: readonly string[] = []): Error {
  return createError(
    'FACELLM_DOWNLOAD_FAILED',
    `the answer about ${what} is not understood: ${why}; check HF_ENDPOINT, or whether a proxy answers in its place`,
    { details: details.slice(0, 20) },
  );
}
