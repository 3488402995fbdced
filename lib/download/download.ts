/** `download()`: models and data sets of the hub into its cache, and data sets that have a name here into a folder. */
import { isHubId, isInnerPath } from '../checkpoint/index.js';
import { createError } from '../errors.js';
import {
  abortSignal,
  callback,
  checkArguments,
  didYouMean,
  fields,
  flag,
  list,
  name,
  whole,
} from '../options/index.js';
import { DATASETS } from './datasets/catalogue.js';
import { type DownloadedDataset, downloadDataset } from './datasets/download-dataset.js';
import { type DownloadedRepository, downloadRepository } from './download-repository.js';
import type { OnDownload } from './events.js';

export interface DownloadOptions {
  /** Branch, tag or commit; of a named data set its record or commit. @default main */
  readonly revision?: string | undefined;
  /** Of a repository: only files that match one of these, `*` crossing folders. @default all files */
  readonly include?: readonly string[] | undefined;
  /** Of a named data set: its folder. @default a folder of its name in the working folder */
  readonly output?: string | undefined;
  /** Of a named data set: files fetched by hand, taken in place of the network. */
  readonly from?: readonly string[] | undefined;
  /** Of the hub. @default `HF_TOKEN`, else the token file */
  readonly token?: string | undefined;
  /** @default 8 */
  readonly filesAtOnce?: number | undefined;
  /** Asks what there is, tells it in a `plan` event and fetches nothing. @default false */
  readonly dryRun?: boolean | undefined;
  /** Rejects with its reason; what has come is kept, and the same call goes on. */
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: OnDownload | undefined;
}

export type DownloadResult = DownloadedRepository | DownloadedDataset;

const downloadOptions = fields<DownloadOptions>({
  revision: name('a branch, tag or commit').optional(),
  include: list(name('a pattern such as *.json'), 'a list of patterns').optional(),
  output: name('a folder').optional(),
  from: list(name('a file'), 'a list of files', 1).optional(),
  token: name('a token of the hub').optional(),
  filesAtOnce: whole(1, 64).optional(),
  dryRun: flag.optional(),
  signal: abortSignal.optional(),
  onEvent: callback<OnDownload>().optional(),
});

/** What `download` takes for tests beside its options. */
export interface DownloadSurroundings {
  readonly env?: NodeJS.ProcessEnv;
  readonly retryMs?: number;
}

/**
 * Fetches a model (`org/name`), a data set of the hub (`datasets/org/name`), or a data set by name (`fairfacegpt`,
 * `facexbench`, `fairface`). The first two go into the cache that Python's huggingface_hub uses, where `FaceLlm.load`
 * finds them. Every file is checked by its hash; what is here already is not fetched again, and a transfer goes on at
 * the byte at which the last one ended. Does not block the event loop.
 *
 * @throws DownloadError FACELLM_DOWNLOAD_REFUSED (absent, private, gated), FACELLM_DOWNLOAD_FAILED (no connection, a
 *   failing server, offline), FACELLM_DOWNLOAD_CORRUPT, FACELLM_DOWNLOAD_WRITE (no room); DataError
 *   FACELLM_DATA_NOT_FOUND for a data set without an address, FACELLM_DATA_INVALID for an archive that is not unpacked;
 *   InvalidArgumentError FACELLM_INVALID_ARGUMENT; MissingPackageError FACELLM_PACKAGE_MISSING before any work without
 *   `@huggingface/hub`, `undici` and `yauzl`; the signal's reason
 */
export async function download(
  what: string,
  options: DownloadOptions = {},
): Promise<DownloadResult> {
  return downloadWith(what, options, {});
}

export async function downloadWith(
  what: string,
  given: DownloadOptions,
  { env = process.env, retryMs }: DownloadSurroundings,
): Promise<DownloadResult> {
  const [id, options] = checkArguments<[string, DownloadOptions]>(
    'the download options are wrong',
    [name('a hub id such as org/name, or the name of a data set'), what, 'what'],
    [downloadOptions, given],
  );
  const { include, output, from, token, revision } = options;
  options.signal?.throwIfAborted();
  if (revision !== undefined && !isInnerPath(revision)) {
    throw wrong([
      `revision: expected a branch, tag or commit, received ${JSON.stringify(revision)}`,
    ]);
  }
  const dataset = DATASETS.find((one) => one.name === id);
  if (dataset !== undefined) {
    const foreign = Object.entries({ include, token }).filter(([, value]) => value !== undefined);
    if (foreign.length > 0)
      throw wrong(foreign.map(([key]) => `${key}: not of a data set by name`));
    return downloadDataset(dataset, { ...options, env, retryMs });
  }
  const repositoryId = id.replace(/^(datasets|models)\//, '');
  if (!isHubId(repositoryId)) {
    const known = DATASETS.map((one) => one.name);
    throw wrong([`${id}: no hub id such as org/name, and no data set; ${didYouMean(id, known)}`]);
  }
  const foreign = Object.entries({ output, from }).filter(([, value]) => value !== undefined);
  if (foreign.length > 0) {
    throw wrong(
      foreign.map(([key]) => `${key}: of data sets by name only; the hub's go into its cache`),
    );
  }
  const type = id.startsWith('datasets/') ? 'dataset' : 'model';
  return downloadRepository({ type, id: repositoryId }, { ...options, env, retryMs });
}

function wrong(details: readonly string[]): Error {
  return createError('FACELLM_INVALID_ARGUMENT', 'the download options are wrong', { details });
}
