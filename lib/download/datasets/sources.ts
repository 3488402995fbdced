/** Where data sets lie, and what each place says of their files: Zenodo's records and GitHub's trees. */
import { z } from 'zod';

import { createError } from '../../errors.js';
import { checkAddress } from '../environment.js';
import { type ExpectedHash, isHash } from '../hashes.js';
import type { HttpClient } from '../http.js';
import { getText, isSafePath, notUnderstood, type RemoteFile } from '../hub-listing.js';
import type { RetryOptions } from '../retry.js';

export interface SourceFile extends RemoteFile {
  readonly url: string;
}

export interface DataSource {
  /** Title and version. */
  readonly title: string;
  /** What pins it: a record's number, a commit. */
  readonly version: string;
  readonly page: string;
  readonly license: string | undefined;
  readonly files: readonly SourceFile[];
}

/** `https://HOST`, or where `FACELLM_DATA_MIRROR` has it: at MIRROR/HOST. */
export function hostAddress(host: string, env: NodeJS.ProcessEnv): string {
  const mirror = env['FACELLM_DATA_MIRROR']?.replace(/\/+$/, '');
  return mirror ? `${checkAddress(mirror, 'FACELLM_DATA_MIRROR')}/${host}` : `https://${host}`;
}

const recordSchema = z.object({
  metadata: z.object({
    title: z.string(),
    version: z.string().optional(),
    license: z.object({ id: z.string() }).optional(),
  }),
  files: z.array(
    z.object({ key: z.string(), size: z.number().int().min(0), checksum: z.string() }),
  ),
});

export async function zenodoRecord(
  record: string,
  client: HttpClient,
  env: NodeJS.ProcessEnv,
  retry: RetryOptions,
): Promise<DataSource> {
  const zenodo = hostAddress('zenodo.org', env);
  const page = `https://zenodo.org/records/${record}`;
  const what = `Zenodo record ${record}`;
  const { text } = await getText(client, `${zenodo}/api/records/${record}`, { what, page }, retry);
  const { metadata, files } = parse(recordSchema, text, what);
  return {
    title: `${plain(metadata.title)}${metadata.version === undefined ? '' : ` (${plain(metadata.version)})`}`,
    version: record,
    page,
    license: metadata.license === undefined ? undefined : plain(metadata.license.id),
    files: files.map(({ key, size, checksum }) => ({
      path: safePath(key, what),
      size,
      hash: hashOf(checksum, key, what),
      url: `${zenodo}/api/records/${record}/files/${encodeURIComponent(key)}/content`,
    })),
  };
}

function hashOf(checksum: string, name: string, what: string): ExpectedHash {
  const hex = checksum.replace(/^md5:/, '');
  if (checksum.startsWith('md5:') && isHash('md5', hex)) return { algorithm: 'md5', hex };
  throw notUnderstood(what, `${name} has no md5`);
}

const commitSchema = z.object({ sha: z.string().regex(/^[0-9a-f]{40}$/) });
const treeSchema = z.object({
  truncated: z.boolean(),
  tree: z.array(
    z.object({
      path: z.string(),
      type: z.string(),
      mode: z.string(),
      sha: z.string(),
      size: z.number().optional(),
    }),
  ),
});

/** Files of one folder of a public repository, at a commit; git's own hash of each. */
export async function githubFolder(
  repository: string,
  folder: string,
  revision: string,
  license: string | undefined,
  client: HttpClient,
  env: NodeJS.ProcessEnv,
  retry: RetryOptions,
): Promise<DataSource> {
  const api = `${hostAddress('api.github.com', env)}/repos/${repository}`;
  const raw = `${hostAddress('raw.githubusercontent.com', env)}/${repository}`;
  const page = `https://github.com/${repository}`;
  const what = `${repository} on GitHub`;
  const asked = { what, page, revision };
  const commitUrl = `${api}/commits/${encodeURIComponent(revision)}`;
  const { sha: commit } = parse(
    commitSchema,
    (await getText(client, commitUrl, asked, retry)).text,
    what,
  );
  const treeUrl = `${api}/git/trees/${commit}?recursive=1`;
  const { tree, truncated } = parse(
    treeSchema,
    (await getText(client, treeUrl, asked, retry)).text,
    what,
  );
  if (truncated) throw notUnderstood(what, 'its listing is not whole');
  const entries = tree.filter(({ path, type }) => type === 'blob' && path.startsWith(`${folder}/`));
  if (entries.length === 0) {
    throw createError(
      'FACELLM_DATA_NOT_FOUND',
      `${what} has no folder ${folder} at ${commit}: ${page}`,
    );
  }
  return {
    title: `${repository}, folder ${folder}`,
    version: commit,
    page,
    license,
    files: entries.map(({ path, sha, size, mode }) => {
      if (mode === '120000') throw notUnderstood(what, `${path} is a link`);
      if (!isHash('git-blob', sha) || size === undefined) {
        throw notUnderstood(what, `${path} has no hash or size`);
      }
      return {
        path: safePath(path, what),
        size,
        hash: { algorithm: 'git-blob', hex: sha } as const,
        url: `${raw}/${commit}/${path.split('/').map(encodeURIComponent).join('/')}`,
      };
    }),
  };
}

function parse<T>(schema: z.ZodType<T>, text: string, what: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw notUnderstood(what, 'no JSON');
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw notUnderstood(
    what,
    'fields are absent or of another kind',
    parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`),
  );
}

function safePath(path: string, what: string): string {
  if (isSafePath(path)) return path;
  throw notUnderstood(what, `${JSON.stringify(path)} is not a path inside a folder`);
}

/** One line for a terminal. */
function plain(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').slice(0, 300);
}
