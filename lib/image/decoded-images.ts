/**
 * Pictures decoded of late, known by the bytes that they were decoded from: a picture asked about again is read and
 * hashed, since a file may have changed, but not decoded.
 */
import type { NativeAddon } from '../binding/native.js';
import { limitArea } from './area-limit.js';
import { ByteCache } from './byte-cache.js';
import { decodeOpened, keyOf, openImage } from './decode.js';
import {
  type DecodedImage,
  type DecodeOptions,
  DEFAULT_MAX_PIXELS,
  type ImageSource,
} from './types.js';

export interface ImageReading extends DecodeOptions {
  readonly limitsImageArea: boolean;
}

export class DecodedImages {
  readonly #addon: Pick<NativeAddon, 'resizePillow'>;
  readonly #kept: ByteCache<DecodedImage>;

  /** @param capacity bytes of pixels that are kept */
  constructor(addon: Pick<NativeAddon, 'resizePillow'>, capacity: number) {
    this.#addon = addon;
    this.#kept = new ByteCache(capacity, ({ rgb }) => rgb.byteLength);
  }

  /**
   * The picture, decoded and within its bound. Never write to its pixels: others have them, too.
   *
   * @throws what decodeImage throws
   */
  async get(source: ImageSource, reading: ImageReading): Promise<DecodedImage> {
    const opened = await openImage(source, reading);
    const key = await keyOf(opened);
    const { signal, limitsImageArea, maxPixels = DEFAULT_MAX_PIXELS } = reading;
    // One who asked may stop waiting; others who wait for the same picture do not.
    const decode = async (): Promise<DecodedImage> => {
      const image = { key, ...(await decodeOpened(opened, { ...reading, signal: undefined })) };
      return limitsImageArea ? limitArea(this.#addon, image) : image;
    };
    const image = await this.#kept.get(`${key} ${limitsImageArea} ${maxPixels}`, decode);
    signal?.throwIfAborted();
    return image;
  }
}
