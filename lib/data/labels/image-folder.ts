/**
 * Where the pictures of a label CSV lie. FairFace's CSV says `val/1.jpg`; people unpack it in several
 * ways, so a few folders under the given one are tried, and the one that holds most of the first
 * pictures is taken for all.
 */
import { join, posix } from 'node:path';

import { findMissing } from '../lookup.js';

/** Names under which FairFace's two crops are published and used. */
const PUBLISHED_FOLDERS = [
  ...['fairface_img_margin025', 'fairface-img-margin025-trainval'],
  ...['fairface_img_margin125', 'fairface-img-margin125-trainval'],
];
const SPLIT_PREFIX = /^(?:train|val)\//;
const PROBES = 64;

/** Turns a CSV's file name into an absolute path. */
export type Locate = (file: string) => string;

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

/** How pictures may lie under `folder`: as the CSV says, in a published folder, without the split's prefix. */
function layouts(folder: string): Locate[] {
  const bases = [folder, ...PUBLISHED_FOLDERS.map((name) => join(folder, name))];
  return [
    ...bases.map(
      (base): Locate =>
        (file) =>
          join(base, file),
    ),
    (file) => join(folder, file.replace(SPLIT_PREFIX, '')),
  ];
}

/** Chooses the layout by the first files of the CSV. @param folder absolute */
export async function locateImages(folder: string, files: readonly string[]): Promise<Locate> {
  const probes = files.slice(0, PROBES);
  const candidates = layouts(folder);
  let [best] = candidates as [Locate];
  let fewest = Infinity;
  for (const locate of candidates) {
    const missing = (await findMissing(new Set(probes.map(locate)))).size;
    if (missing < fewest) [best, fewest] = [locate, missing];
    if (missing === 0) break;
  }
  return best;
}
