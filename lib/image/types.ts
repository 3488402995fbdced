/** What counts as a picture, and what becomes of it. */
import { abortSignal, flag, type Shape, whole } from '../options/index.js';

/** Pixels without a file format, row-major, interleaved. */
export interface RawImage {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
  /** 1 grey, 3 RGB, 4 RGBA (alpha is dropped). @default 3 */
  readonly channels?: 1 | 3 | 4;
}

/** A path, a `file:` or `data:` URL, the bytes of an image file, or raw pixels. */
export type ImageSource = string | URL | Uint8Array | RawImage;

export interface RgbPixels {
  /** `[height, width, 3]` uint8. */
  readonly rgb: Uint8Array;
  readonly width: number;
  readonly height: number;
}

export interface DecodedImage extends RgbPixels {
  /** Identity of the pixels: equal keys, equal pixels. */
  readonly key: string;
}

export interface ImageSize {
  readonly width: number;
  readonly height: number;
}

export interface DecodeOptions {
  /** Turns the picture as its EXIF orientation says (docs/internvl3.md, section 4.1). @default true */
  readonly applyExif?: boolean | undefined;
  /** Larger pictures are refused before decoding. @default 100,000,000 */
  readonly maxPixels?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export const decodeShape: Shape<DecodeOptions> = {
  applyExif: flag.optional(),
  maxPixels: whole(1).optional(),
  signal: abortSignal.optional(),
};

/** A portrait of a good camera has 24 million pixels; a decompression bomb has billions. */
export const DEFAULT_MAX_PIXELS = 100_000_000;
