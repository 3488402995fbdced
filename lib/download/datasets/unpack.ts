/**
 * Unpacking a ZIP archive that nobody vouches for: every entry is checked before the first is written. Refused are paths
 * that lead out, links, names that fall together, encrypted entries, and archives that grow out of all proportion.
 */
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32 } from 'node:zlib';

import type { Entry, ZipFile } from 'yauzl';

import { createError } from '../../errors.js';
import { firstDetails } from '../../files/index.js';
import { loadDownloadPackages } from '../../packages/download.js';
import { isSafePath } from '../hub-listing.js';
import { checkRoom } from '../transfer-all.js';
import { writeError } from '../transfer.js';

export interface UnpackOptions {
  readonly signal: AbortSignal | undefined;
  readonly onFile: (filesDone: number, filesTotal: number) => void;
}

/** Pictures hardly shrink, texts of a data set to a tenth; a bomb is a thousand times its archive. */
const MOST_GROWTH = 100;
const GROWTH_FREE_BYTES = 64 * 2 ** 20;
const MOST_ENTRIES = 2_000_000;

/**
 * Unpacks into a folder that exists and that nobody else writes to.
 *
 * @returns paths of the files, relative to it
 * @throws DataError FACELLM_DATA_INVALID listing every entry that is refused; DownloadError FACELLM_DOWNLOAD_WRITE
 */
export async function unpackZip(
  archive: string,
  folder: string,
  { signal, onFile }: UnpackOptions,
): Promise<readonly string[]> {
  const { openPromise } = (await loadDownloadPackages()).yauzl;
  const zip = await openPromise(archive, { lazyEntries: true, autoClose: false }).catch(
    (cause: unknown) => {
      throw refused(archive, [`no ZIP archive: ${reasonOf(cause)}`]);
    },
  );
  try {
    const entries = await readEntries(zip, archive);
    await checkRoom(folder, total(entries));
    for (const [done, entry] of entries.entries()) {
      signal?.throwIfAborted();
      await unpackOne(zip, entry, archive, folder);
      onFile(done + 1, entries.length);
    }
    return entries.map(({ fileName }) => fileName);
  } finally {
    zip.close();
  }
}

function refused(archive: string, details: readonly string[]): Error {
  return createError(
    'FACELLM_DATA_INVALID',
    `${archive} is not unpacked: ${details.length} fault(s) in it; nothing of it was written`,
    { details: firstDetails(details) },
  );
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

function total(entries: readonly Entry[]): number {
  return entries.reduce((sum, { uncompressedSize }) => sum + uncompressedSize, 0);
}

/** All files of the archive; folders are made as files need them. */
async function readEntries(zip: ZipFile, archive: string): Promise<readonly Entry[]> {
  if (zip.entryCount > MOST_ENTRIES) throw refused(archive, [`${zip.entryCount} entries`]);
  const entries: Entry[] = [];
  try {
    // Refuses absolute paths, steps up and backslashes itself.
    for await (const entry of zip.eachEntry()) entries.push(entry);
  } catch (cause) {
    throw refused(archive, [reasonOf(cause)]);
  }
  const files = entries.filter(({ fileName }) => !fileName.endsWith('/'));
  const details = [...files.flatMap(faultsOf), ...clashes(files), ...bombs(entries, zip.fileSize)];
  if (details.length > 0) throw refused(archive, details);
  return files;
}

/** Of the Unix mode that an archive may keep: a regular file, or nothing said. */
function isRegular({ externalFileAttributes }: Entry): boolean {
  const kind = (externalFileAttributes >>> 16) & 0o170000;
  return kind === 0 || kind === 0o100000;
}

function faultsOf(entry: Entry): string[] {
  const name = JSON.stringify(entry.fileName);
  if (!isSafePath(entry.fileName)) return [`${name}: its path leads out of the folder`];
  if (!isRegular(entry)) return [`${name}: a link or device`];
  if (entry.isEncrypted()) return [`${name}: encrypted`];
  if (!entry.canDecodeFileData()) {
    return [`${name}: compressed by method ${entry.compressionMethod}, expected 0 or 8`];
  }
  return [];
}

/** Two entries of one name, also where only the case of letters tells them apart, or a file that another's folder is. */
function clashes(files: readonly Entry[]): string[] {
  const seen = new Set<string>();
  const folders = new Set<string>();
  for (const { fileName } of files) {
    for (let at = fileName.indexOf('/'); at !== -1; at = fileName.indexOf('/', at + 1)) {
      folders.add(fileName.slice(0, at).toLowerCase());
    }
  }
  return files.flatMap(({ fileName }) => {
    const name = fileName.toLowerCase();
    const isTwice = seen.has(name) || folders.has(name);
    seen.add(name);
    return isTwice ? [`${JSON.stringify(fileName)}: another entry has its name`] : [];
  });
}

/** Entries that share their bytes, or more of them than such an archive can honestly hold. */
function bombs(entries: readonly Entry[], archiveBytes: number): string[] {
  const bytes = total(entries);
  const most = archiveBytes * MOST_GROWTH + GROWTH_FREE_BYTES;
  if (bytes > most) return [`${bytes} bytes out of an archive of ${archiveBytes}`];
  const ordered = [...entries].sort(
    (a, b) => a.relativeOffsetOfLocalHeader - b.relativeOffsetOfLocalHeader,
  );
  const LOCAL_HEADER = 30;
  return ordered.flatMap((entry, i) => {
    const next = ordered[i + 1];
    const end = entry.relativeOffsetOfLocalHeader + LOCAL_HEADER + entry.compressedSize;
    const overlaps = next !== undefined && end > next.relativeOffsetOfLocalHeader;
    return overlaps ? [`${JSON.stringify(entry.fileName)}: its bytes are another entry's too`] : [];
  });
}

async function unpackOne(
  zip: ZipFile,
  entry: Entry,
  archive: string,
  folder: string,
): Promise<void> {
  const path = join(folder, entry.fileName);
  await mkdir(dirname(path), { recursive: true }).catch((cause: unknown) => {
    throw writeError(path, cause);
  });
  let crc = 0;
  const check = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      crc = crc32(chunk, crc);
      done(null, chunk);
    },
  });
  try {
    // Nothing may be awaited in between: a stream that fails meanwhile would have nobody to tell.
    const source = await zip.openReadStreamPromise(entry);
    // `wx`: nothing is written over or through.
    await pipeline(source, check, createWriteStream(path, { flags: 'wx' }));
  } catch (cause) {
    const isOfSystem = (cause as NodeJS.ErrnoException).syscall !== undefined;
    throw isOfSystem ? writeError(path, cause) : damaged(archive, entry, cause);
  }
  if (crc !== entry.crc32) throw damaged(archive, entry, undefined);
}

function damaged(archive: string, { fileName }: Entry, cause: unknown): Error {
  const reason = cause === undefined ? 'its checksum is wrong' : reasonOf(cause);
  return createError(
    'FACELLM_DATA_INVALID',
    `${archive} is damaged at ${JSON.stringify(fileName)}: ${reason}; fetch it again`,
    { cause },
  );
}
