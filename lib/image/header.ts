/** Files that cannot be pictures, told by their beginning alone: no more is read than a header takes. */
import { stat } from 'node:fs/promises';

import sharp from 'sharp';

import { findImpostor } from '../files/index.js';
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
  } catch (error) {
    const isEmpty = await stat(path).then(
      ({ size }) => size === 0,
      () => false,
    );
    if (isEmpty) return 'is empty; expected an image file';
    const impostor = await findImpostor(path);
    if (impostor !== undefined) return impostor.text;
    const reason = error instanceof Error ? error.message : String(error);
    return `cannot be decoded (${reason.trim()}); expected a JPEG, PNG, WebP, GIF, TIFF or AVIF file`;
  }
}
