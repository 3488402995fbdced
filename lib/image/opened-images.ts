/**
 * Pictures of one call, each read and hashed once, however many of its questions are about it: a chip of 448 pixels has 600 kB,
 * and its hash costs as much as a small model's whole answer.
 */
import { keyOf, type OpenedImage, openImage } from './decode.js';
import { keyOfOwn } from './own-pixels.js';
import type { DecodeOptions, ImageSource } from './types.js';

export interface NamedImage {
  readonly opened: OpenedImage;
  /** Of its bytes and how they are read. */
  readonly key: string;
}

async function open(source: ImageSource, options: DecodeOptions): Promise<NamedImage> {
  const opened = await openImage(source, options);
  const own = keyOfOwn(source);
  return { opened, key: own === undefined ? await keyOf(opened) : `${own} ${opened.tag}` };
}

export class OpenedImages {
  /** By the caller's own object or path, upright or as stored. */
  readonly #upright = new Map<ImageSource, Promise<NamedImage>>();
  readonly #stored = new Map<ImageSource, Promise<NamedImage>>();

  /** @throws what openImage throws */
  get(source: ImageSource, options: DecodeOptions): Promise<NamedImage> {
    const known = options.applyExif === false ? this.#stored : this.#upright;
    const image = known.get(source) ?? open(source, options);
    known.set(source, image);
    return image;
  }
}
