/**
 * Where the pictures of a label CSV lie. FairFace's CSV says `val/1.jpg`; people unpack it in several
 * ways, so a few folders under the given one are tried, and the one that holds most of the first
 * pictures is taken for all.
 */
import { realpath } from 'node:fs/promises';
import { basename, dirname, join, posix, resolve } from 'node:path';

import { createError } from '../../errors.js';
import { findMissing, isFolder } from '../lookup.js';

/** Names under which FairFace's two crops are published and used. */
const PUBLISHED_FOLDERS = [
  ...['fairface_img_margin025', 'fairface-img-margin025-trainval'],
  ...['fairface_img_margin125', 'fairface-img-margin125-trainval'],
];
const SPLIT_PREFIX = /^(?:train|val)(?=\/)/;
/** What folders of a split are called; FairFace numbers the pictures of both from 1. */
const SPLIT_OF: ReadonlyMap<string, string> = new Map([
  ...(['train', 'training'] as const).map((word) => [word, 'train'] as const),
  ...(['val', 'valid', 'validation'] as const).map((word) => [word, 'val'] as const),
]);
const PROBES = 64;

/** Turns a CSV's file name into an absolute path. */
type Locate = (file: string) => string;

/**
 * A file name in one form: slashes forward, no `.` and no doubled slash. Undefined if it is empty,
 * absolute, or leaves the folder.
 */
export function normaliseFile(written: string): string | undefined {
  const file = posix.normalize(written.trim().replaceAll('\\', '/'));
  const isOutside = file === '..' || file.startsWith('../') || posix.isAbsolute(file);
  const hasDrive = /^[A-Za-z]:/.test(file);
  return file === '.' || isOutside || hasDrive || file.includes('\0') ? undefined : file;
}

/** The split that all names begin with; undefined if they name none, or several. */
function commonSplit(files: readonly string[]): string | undefined {
  const splits = new Set(files.map((file) => SPLIT_PREFIX.exec(file)?.[0]));
  return splits.size === 1 ? [...splits][0] : undefined;
}

/** The split that a folder, or the one it lies in, is named after: `train`, `faces_val`, `validation/images`. */
function splitOfFolder(folder: string): string | undefined {
  for (const name of [basename(folder), basename(dirname(folder))]) {
    const words = name.toLowerCase().split(/[^a-z]+/);
    const splits = new Set(words.flatMap((word) => SPLIT_OF.get(word) ?? []));
    if (splits.size === 1) return [...splits][0];
  }
  return undefined;
}

/**
 * Refuses pictures that are not those of the labels: a folder of one split takes no names of another.
 *
 * @throws DataError FACELLM_DATA_INVALID
 */
async function checkSplit(folder: string, split: string): Promise<void> {
  for (const path of [folder, await realpath(folder)]) {
    const named = splitOfFolder(path);
    if (named === undefined || named === split) continue;
    throw createError(
      'FACELLM_DATA_INVALID',
      `the labels are of ${split}/, but ${path} is named after the split ${named}, whose pictures have the same ` +
        `numbers; name the folder of the ${split} pictures, or one in which they lie as ${split}/`,
    );
  }
}

const countMissing = async (files: readonly string[], locate: Locate): Promise<number> =>
  (await findMissing(new Set(files.map(locate)))).size;

/**
 * Chooses the layout by the first files of the CSV: as the CSV says, in a published folder, or the pictures of
 * the one split that all names begin with, in a folder of their own.
 *
 * @param folder absolute
 * @throws DataError FACELLM_DATA_INVALID if only a folder named after another split would have pictures
 */
async function locateImages(folder: string, files: readonly string[]): Promise<Locate> {
  const probes = files.slice(0, PROBES);
  const bases = [folder, ...PUBLISHED_FOLDERS.map((name) => join(folder, name))];
  const candidates = bases.map(
    (base): Locate =>
      (file) =>
        join(base, file),
  );
  let [best] = candidates as [Locate];
  let fewest = Infinity;
  for (const locate of candidates) {
    const missing = await countMissing(probes, locate);
    if (missing < fewest) [best, fewest] = [locate, missing];
    if (missing === 0) return best;
  }
  // Two splits in one folder would give each picture two rows.
  const split = commonSplit(files);
  if (split === undefined) return best;
  const bare: Locate = (file) => join(folder, file.slice(split.length + 1));
  if ((await countMissing(probes, bare)) >= fewest) return best;
  await checkSplit(folder, split);
  return bare;
}

/**
 * The absolute path of a folder.
 *
 * @throws DataError FACELLM_DATA_NOT_FOUND
 */
export async function existingFolder(path: string, content: string): Promise<string> {
  const folder = resolve(path);
  if (await isFolder(folder)) return folder;
  throw createError('FACELLM_DATA_NOT_FOUND', `there is no folder ${folder} of ${content}`);
}

/** Where a picture lies, absolute, and what is wrong with it if it is not there. */
export type FindPicture = (file: string) => {
  readonly path: string;
  readonly problem: string | undefined;
};

/** Looks for all pictures at once, as {@link locateImages} chooses. */
export async function findPictures(folder: string, files: readonly string[]): Promise<FindPicture> {
  const locate = await locateImages(folder, files);
  const missing = await findMissing(new Set(files.map(locate)));
  return (file) => ({ path: locate(file), problem: missing.get(locate(file)) });
}
