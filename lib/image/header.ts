/** Files that cannot be pictures, told by their beginning alone: no more is read than a header takes. */
import sharp from 'sharp';

import { impostorOf, readStart } from '../files/index.js';
import { damageOf } from './damage.js';
import { DEFAULT_MAX_PIXELS } from './types.js';

/**
 * What is wrong with a picture file, as the end of a sentence that begins with its name: empty, a web page, a Git LFS
 * pointer, of no known format, too large. Undefined if its header is sound; pixels may be damaged all the same.
 */
export async function headerProblem(path: string): Promise<string | undefined> {
  try {
    const { width, height } = await sharp(path, { limitInputPixels: false }).metadata();
    if (width * height <= DEFAULT_MAX_PIXELS) return undefined;
    return `has ${width} x ${height} pixels, the limit is ${DEFAULT_MAX_PIXELS}; shrink it`;
  } catch {
    const start = await readStart(path);
    if (start === undefined) return 'cannot be read';
    if (start.length === 0) return 'is empty; expected an image file';
    return (
      impostorOf(start)?.text ??
      `cannot be decoded; expected a JPEG, PNG, WebP, GIF, TIFF or AVIF file: ${damageOf(start, false)}`
    );
  }
}
