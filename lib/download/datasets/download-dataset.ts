/**
 * A data set by its name into a folder of its own: fetched as models are, unpacked, and a note left of where it came
 * from. Killed at any time, the same call goes on.
 */
import { copyFile, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';

import { offlineSetting } from '../../checkpoint/index.js';
import { createError } from '../../errors.js';
import {
  parseJson,
  readOptionalText,
  sha256,
  sha256OfFile,
  systemCode,
  writeFileAtomic,
} from '../../files/index.js';
import { loadDownloadPackages } from '../../packages/download.js';
import { packageVersion } from '../../packages/version.js';
import type { OnDownload } from '../events.js';
import { HttpClient } from '../http.js';
import type { RetryOptions } from '../retry.js';
import { writeError } from '../transfer.js';
import { transferAll } from '../transfer-all.js';
import { waitForFolder } from '../wait-lock.js';
import type { NamedDataset } from './catalogue.js';
import type { DataSource, SourceFile } from './sources.js';
import { unpackZip } from './unpack.js';

export interface DatasetOptions {
  /** @default a folder of its name in the working folder */
  readonly output?: string | undefined;
  /** Files that were fetched by hand, in place of the network: ZIP archives are unpacked, others copied. */
  readonly from?: readonly string[] | undefined;
  readonly revision?: string | undefined;
  readonly filesAtOnce?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: OnDownload | undefined;
  readonly dryRun?: boolean | undefined;
  readonly env: NodeJS.ProcessEnv;
  readonly retryMs?: number | undefined;
}

export interface DownloadedDataset {
  readonly kind: 'named';
  readonly directory: string;
  /** Record or commit; of files by hand their hashes. */
  readonly version: string;
  readonly files: readonly string[];
  readonly bytes: number;
  readonly license: string | undefined;
  /** A command that uses it. */
  readonly next: string;
}

/** What is written beside a data set when it is whole. */
const NOTE = 'facellm_download.json';
const WORK = '.download';
const FILES_AT_ONCE = 8;

const isZip = (path: string): boolean => /\.zip$/i.test(path);

/** @throws DownloadError, DataError; InvalidArgumentError FACELLM_INVALID_ARGUMENT; the signal's reason */
export async function downloadDataset(
  dataset: NamedDataset,
  options: DatasetOptions,
): Promise<DownloadedDataset> {
  const { env, signal, onEvent, retryMs, from } = options;
  const directory = resolve(options.output ?? dataset.name);
  if (from === undefined && dataset.find === undefined) {
    throw createError(
      'FACELLM_DATA_NOT_FOUND',
      `${dataset.name} cannot be fetched: ${dataset.byHand}`,
    );
  }
  const done = await readNote(directory);
  const offline = offlineSetting(env);
  if (offline !== undefined && from === undefined) {
    if (done?.name === dataset.name) {
      onEvent?.({ type: 'offline', reason: `${offline} is set` });
      return resultOf(dataset, directory, done);
    }
    throw createError(
      'FACELLM_DOWNLOAD_FAILED',
      `${dataset.name} is not in ${directory}, and ${offline} is set; unset it`,
    );
  }
  await loadDownloadPackages();
  const client = new HttpClient({ env, signal });
  try {
    const onWait = (reason: string, seconds: number): void =>
      onEvent?.({ type: 'wait', reason, seconds });
    const retry: RetryOptions = { signal, onWait, retryMs };
    const source =
      from === undefined
        ? await dataset.find?.(client, env, retry, options.revision)
        : await sourceOf(from, dataset);
    if (source === undefined) throw new TypeError('a data set has a source');
    const bytes = source.files.reduce((total, { size }) => total + size, 0);
    const isHere = done?.name === dataset.name && done.version === source.version;
    onEvent?.({
      ...{
        type: 'plan',
        source: `${source.title}, ${source.page}`,
        license: source.license,
        directory,
      },
      files: source.files.map(({ path, size, hash }) => ({
        ...{ path, size, hash: `${hash.algorithm}:${hash.hex}` },
      })),
      ...{ bytesTotal: bytes, bytesHere: isHere ? bytes : 0 },
    });
    if (done !== undefined && isHere) return resultOf(dataset, directory, done);
    if (options.dryRun === true) {
      return resultOf(dataset, directory, noteOf(dataset, source, []));
    }
    await checkOwn(directory, dataset, done);
    const release = await waitForFolder(directory, signal, onEvent);
    try {
      return await fetchInto(directory, dataset, source, client, options);
    } finally {
      await release();
    }
  } finally {
    await client.close();
  }
}

interface Note {
  readonly name: string;
  readonly source: string;
  readonly version: string;
  readonly license: string | undefined;
  /** As fetched, with the hash that each had. */
  readonly fetched: readonly {
    readonly path: string;
    readonly size: number;
    readonly hash: string;
  }[];
  /** As they lie here. */
  readonly files: readonly string[];
}

async function readNote(directory: string): Promise<Note | undefined> {
  const codes = { unreadable: 'FACELLM_DOWNLOAD_WRITE', invalid: 'FACELLM_DATA_INVALID' } as const;
  const text = await readOptionalText(join(directory, NOTE), codes);
  const parsed = text === undefined ? undefined : parseJson(text);
  return parsed?.isValid === true ? (parsed.value as Note) : undefined;
}

function noteOf(dataset: NamedDataset, source: DataSource, files: readonly string[]): Note {
  return {
    name: dataset.name,
    source: source.page,
    version: source.version,
    license: source.license,
    fetched: source.files.map(({ path, size, hash }) => ({
      ...{ path, size, hash: `${hash.algorithm}:${hash.hex}` },
    })),
    files,
  };
}

function resultOf(dataset: NamedDataset, directory: string, note: Note): DownloadedDataset {
  const main = note.files.find((path) => dataset.mainFile?.test(path));
  return {
    kind: 'named',
    directory,
    version: note.version,
    files: note.files,
    bytes: note.fetched.reduce((total, { size }) => total + size, 0),
    license: note.license,
    next: dataset.next(directory, main === undefined ? undefined : join(directory, main)),
  };
}

/** A folder that holds something else is somebody else's. */
async function checkOwn(
  directory: string,
  { name }: NamedDataset,
  done: Note | undefined,
): Promise<void> {
  const names = await readdir(directory).catch((cause: unknown) => {
    if (systemCode(cause) === 'ENOENT') return [];
    throw writeError(directory, cause);
  });
  const foreign = names.filter((one) => one !== WORK && !one.startsWith('run.lock'));
  if (foreign.length === 0) return;
  throw createError(
    'FACELLM_INVALID_ARGUMENT',
    done === undefined
      ? `${directory} holds other files (${foreign.slice(0, 3).join(', ')}); name a new folder with --output`
      : `${directory} holds ${done.name} ${done.version}, not ${name} as it is asked for now; name a new folder ` +
          'with --output, or remove that one',
  );
}

/** Files fetched by hand: their hashes are told and kept, there is nothing to hold them against. */
async function sourceOf(paths: readonly string[], dataset: NamedDataset): Promise<DataSource> {
  const files: SourceFile[] = [];
  for (const path of paths) {
    const failure = (cause: unknown): Error =>
      createError(
        'FACELLM_DATA_NOT_FOUND',
        `${path} cannot be read (${systemCode(cause)}); check the path`,
        { cause },
      );
    const { size } = await stat(path).catch((cause: unknown) => {
      throw failure(cause);
    });
    const hash = { algorithm: 'sha256', hex: await sha256OfFile(path, failure) } as const;
    files.push({ path: basename(path), size, hash, url: resolve(path) });
  }
  const version = files.map(({ hash }) => hash.hex.slice(0, 16)).join('+');
  return {
    title: `${dataset.name} from files fetched by hand`,
    page: 'files fetched by hand',
    ...{ version, license: dataset.license, files },
  };
}

async function fetchInto(
  directory: string,
  dataset: NamedDataset,
  source: DataSource,
  client: HttpClient,
  options: DatasetOptions,
): Promise<DownloadedDataset> {
  const { from, signal, onEvent } = options;
  const work = join(directory, WORK, source.version.replace(/[^\w+]/g, '_').slice(0, 100));
  /** Archives and what is half there; plain files; what came out of archives, which is done anew each time. */
  const [fetched, plain, unzipped] = ['fetched', 'plain', 'unzipped'].map((name) =>
    join(work, name),
  ) as [string, string, string];
  await rm(unzipped, { recursive: true, force: true });
  for (const folder of [fetched, plain, unzipped]) await makeFolder(folder);
  const placeOf = ({ path }: SourceFile): string => join(isZip(path) ? fetched : plain, path);
  if (from === undefined) {
    await fetchFiles(source, fetched, placeOf, client, options);
  } else {
    for (const file of source.files) if (!isZip(file.path)) await copyFile(file.url, placeOf(file));
  }
  for (const file of source.files.filter(({ path }) => isZip(path))) {
    await unpackZip(from === undefined ? placeOf(file) : file.url, unzipped, {
      signal,
      onFile: (filesDone, filesTotal) => onEvent?.({ type: 'unpack', filesDone, filesTotal }),
    });
  }
  const files = [...(await filesUnder(plain)), ...(await filesUnder(unzipped))].sort();
  const names = [...(await readdir(plain)), ...(await readdir(unzipped))];
  const twice = names.filter((name, i) => names.indexOf(name) !== i || name === NOTE);
  if (twice.length > 0) {
    throw createError('FACELLM_DATA_INVALID', `${source.title} holds ${twice.join(', ')} twice`);
  }
  for (const folder of [plain, unzipped]) {
    for (const name of await readdir(folder)) {
      await rename(join(folder, name), join(directory, name));
    }
  }
  // Last: a folder without it is not whole.
  const note = noteOf(dataset, source, files);
  const text = JSON.stringify({ ...note, by: `facellm ${packageVersion()}` }, null, 2);
  await writeFileAtomic(join(directory, NOTE), `${text}\n`);
  await rm(join(directory, WORK), { recursive: true, force: true });
  return resultOf(dataset, directory, note);
}

async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true }).catch((cause: unknown) => {
    throw writeError(path, cause);
  });
}

async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
}

async function fetchFiles(
  source: DataSource,
  fetched: string,
  placeOf: (file: SourceFile) => string,
  client: HttpClient,
  { signal, onEvent, retryMs, filesAtOnce = FILES_AT_ONCE }: DatasetOptions,
): Promise<void> {
  const isWhole = await Promise.all(
    source.files.map((file) =>
      stat(placeOf(file)).then(
        ({ size }) => size === file.size,
        () => false,
      ),
    ),
  );
  const missing = source.files.filter((_, i) => !isWhole[i]);
  const here = source.files.filter((_, i) => isWhole[i]);
  for (const file of missing) await makeFolder(dirname(placeOf(file)));
  const transfers = missing.map((file) => ({
    ...{ url: file.url, name: file.path, size: file.size, hash: file.hash },
    ...{ partial: join(fetched, `${sha256(file.path)}.incomplete`), target: placeOf(file) },
  }));
  await transferAll(transfers, {
    ...{ client, signal, onEvent, retryMs, filesAtOnce, folder: fetched },
    asked: { what: source.title, page: source.page },
    bytesHere: here.reduce((total, { size }) => total + size, 0),
    filesHere: here.length,
  });
}
