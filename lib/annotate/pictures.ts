/** The pictures of a folder or a list, in one order whatever the file system's. */
import { readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { createError } from '../errors.js';
import { readDataText } from '../files/index.js';

const PICTURE = /\.(jpe?g|png|webp|gif|tiff?|avif|bmp)$/i;

export interface PictureList {
  /** That the names start from. */
  readonly root: string;
  /** With `/`, sorted by code points. */
  readonly files: readonly string[];
}

/** Links to folders are not followed, so that none leads in a circle; links to files are. */
async function walk(root: string, folder: string, files: string[]): Promise<void> {
  for (const entry of await readdir(join(root, folder), { withFileTypes: true })) {
    const name = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) await walk(root, name, files);
    else if (PICTURE.test(name)) files.push(name);
  }
}

const LAST_PLAIN = 0xd7ff;
/** Of a code unit among its like: halves of code points above U+FFFF stand behind all others. */
const rankOf = (unit: number): number =>
  unit <= LAST_PLAIN ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800;

/** As UTF-8 orders its bytes, without making any. */
export function byCodePoint(a: string, b: string): number {
  if (a === b) return 0;
  const most = Math.min(a.length, b.length);
  for (let i = 0; i < most; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x !== y) return rankOf(x) - rankOf(y);
  }
  return a.length - b.length;
}

/**
 * Where names start.
 *
 * @throws DataError FACELLM_DATA_NOT_FOUND
 */
export async function rootOf(
  input: string,
): Promise<{ readonly root: string; readonly isFolder: boolean }> {
  const found = await stat(input).catch((cause: unknown) => {
    throw createError('FACELLM_DATA_NOT_FOUND', `${input}: there is no such folder or list`, {
      cause,
    });
  });
  const isFolder = found.isDirectory();
  return { root: isFolder ? input : dirname(input), isFolder };
}

/**
 * @param input a folder, looked through to its depths, or a text file with a path a line, relative to it
 * @throws DataError FACELLM_DATA_NOT_FOUND, FACELLM_DATA_INVALID
 */
export async function listPictures(input: string): Promise<PictureList> {
  const { root, isFolder } = await rootOf(input);
  const files: string[] = [];
  if (isFolder) await walk(input, '', files);
  else {
    const { text } = await readDataText(
      input,
      (code) => `${input}: the list of pictures cannot be read (${code})`,
    );
    for (const line of text.split(/\r?\n/)) if (line !== '') files.push(line);
  }
  if (files.length === 0) throw createError('FACELLM_DATA_INVALID', `${input} holds no pictures`);
  return { root, files: [...new Set(files)].sort(byCodePoint) };
}
