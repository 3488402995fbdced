/**
 * Pictures by the bytes that they are decoded from: one that is asked about again is read and hashed, since a file may
 * have changed, but decoded only where somebody needs its pixels.
 */
import type { NativeAddon } from '../binding/native.js';
import { limitArea } from './area-limit.js';
import { ByteCache } from './byte-cache.js';
import { decodeOpened } from './decode.js';
import { OpenedImages } from './opened-images.js';
import {
  type DecodedImage,
  type DecodeOptions,
  DEFAULT_MAX_PIXELS,
  type ImageSize,
  type ImageSource,
} from './types.js';

export interface ImageReading extends DecodeOptions {
  readonly limitsImageArea: boolean;
}

export interface KnownImage extends ImageSize {
  /** Identity of the pixels: equal keys, equal pixels. */
  readonly key: string;
  readonly pixels: {
    /** Of a picture that was decoded for this, once for all who asked for it meanwhile. */
    take(): Uint8Array | undefined;
    decode(): Promise<Uint8Array>;
  };
}

/** Some two megabytes of keys. One that is forgotten is decoded once more. */
const MOST_KNOWN = 10_000;

export class KnownImages {
  readonly #addon: Pick<NativeAddon, 'resizePillow'>;
  /** Size and final key, longest unused first. */
  readonly #known = new Map<string, ImageSize & { readonly key: string }>();
  /** Keeps nothing: whoever asks while a picture is being decoded gets the same pixels. */
  readonly #underWay = new ByteCache<DecodedImage>(0, ({ rgb }) => rgb.byteLength);
  readonly #taken = new WeakSet<DecodedImage>();

  constructor(addon: Pick<NativeAddon, 'resizePillow'>) {
    this.#addon = addon;
  }

  /**
   * The picture, within its bound. Never write to its pixels: others have them, too.
   *
   * @param read those of the call
   * @throws what decodeImage throws
   */
  async get(
    source: ImageSource,
    reading: ImageReading,
    read: OpenedImages = new OpenedImages(),
  ): Promise<KnownImage> {
    const { opened, key } = await read.get(source, reading);
    const { signal, limitsImageArea, maxPixels = DEFAULT_MAX_PIXELS } = reading;
    const name = `${key} ${limitsImageArea} ${maxPixels}`;
    const decode = (): Promise<DecodedImage> =>
      this.#underWay.get(name, async () => {
        // One who asked may stop waiting; others who wait for the same picture do not.
        const image = { key, ...(await decodeOpened(opened, { ...reading, signal: undefined })) };
        return limitsImageArea ? limitArea(this.#addon, image) : image;
      });
    let fresh: DecodedImage | undefined;
    const known = this.#known.get(name) ?? (fresh = await decode());
    signal?.throwIfAborted();
    const { key: ofPixels, width, height } = known;
    this.#remember(name, { key: ofPixels, width, height });
    const take = (): Uint8Array | undefined => {
      const image = fresh;
      fresh = undefined;
      if (image === undefined || this.#taken.has(image)) return undefined;
      this.#taken.add(image);
      return image.rgb;
    };
    const pixels = { take, decode: async () => (await decode()).rgb };
    return { key: ofPixels, width, height, pixels };
  }

  #remember(name: string, image: ImageSize & { readonly key: string }): void {
    this.#known.delete(name);
    this.#known.set(name, image);
    if (this.#known.size <= MOST_KNOWN) return;
    for (const oldest of this.#known.keys()) {
      this.#known.delete(oldest);
      return;
    }
  }
}
