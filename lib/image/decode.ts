/**
 * Image files to RGB, as Pillow's `convert("RGB")` gives it (docs/internvl3.md, section 4.1): sharp
 * without colour management. Decoding and hashing run in Node's thread pool.
 */
import { webcrypto } from 'node:crypto';

import sharp, { type Metadata, type Sharp } from 'sharp';

import { createError, FaceLlmError, ImageError } from '../errors.js';
import { impostorOf } from '../files/index.js';
import { checkFields } from '../options/index.js';
import { damageOf } from './damage.js';
import { liesOnItsSide, orientationOf, upright } from './orientation.js';
import { imageSource, isRawImage, nameOf, readSource } from './source.js';
import { toRgb } from './to-rgb.js';
import {
  type DecodedImage,
  type DecodeOptions,
  DEFAULT_MAX_PIXELS,
  type ImageSize,
  type ImageSource,
  type RgbPixels,
} from './types.js';

/** A picture whose bytes are read: what its pixels will be is settled. */
export interface OpenedImage {
  readonly name: string;
  /** Nobody else's: hashed and decoded at different times, they stay what they are. */
  readonly bytes: Uint8Array;
  /** Of raw pixels; undefined: an image file. Plain data, so that no declaration needs sharp's. */
  readonly raw:
    { readonly width: number; readonly height: number; readonly channels: 1 | 3 | 4 } | undefined;
  /** What besides the bytes determines the pixels. */
  readonly tag: string;
}

/**
 * Reads a picture's bytes; those in memory are copied before anything is awaited.
 *
 * @throws ImageError FACELLM_IMAGE_NOT_FOUND, FACELLM_IMAGE_INVALID
 * @throws InvalidArgumentError for what is no picture, and raw pixels whose size does not fit
 */
export async function openImage(
  source: ImageSource,
  options: DecodeOptions = {},
): Promise<OpenedImage> {
  options.signal?.throwIfAborted();
  const taken = checkFields(imageSource, source, 'this is no picture', 'image');
  if (isRawImage(taken)) {
    const { data, width, height, channels = 3 } = taken;
    const raw = { width, height, channels };
    return { raw, name: nameOf(taken), bytes: data, tag: `raw ${width}x${height}x${channels}` };
  }
  const { bytes, name } = await readSource(taken);
  const tag = options.applyExif === false ? 'file, as stored' : 'file, upright';
  return { raw: undefined, name, bytes, tag };
}

function inputOf({ bytes, raw }: OpenedImage): Sharp {
  // The size is checked by us beforehand, with a message of our own.
  const limits = { limitInputPixels: false, failOn: 'error', ignoreIcc: true } as const;
  return sharp(bytes, raw === undefined ? limits : { ...limits, raw });
}

/** Identity of the pixels that {@link decodeOpened} gives. Hashed in Node's thread pool. */
export async function keyOf({ bytes, tag }: OpenedImage): Promise<string> {
  const digest = await webcrypto.subtle.digest('SHA-256', bytes);
  return `${Buffer.from(digest).toString('hex')} ${tag}`;
}

/** @throws ImageError FACELLM_IMAGE_INVALID, FACELLM_IMAGE_TOO_LARGE */
export async function decodeOpened(
  opened: OpenedImage,
  options: DecodeOptions = {},
): Promise<RgbPixels> {
  const { name, bytes, raw } = opened;
  if (raw?.channels === 3) {
    // They are what they become: a chip's way through libvips costs more than a small model's answer.
    checkSize(raw, name, options);
    const rgb = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return { rgb, width: raw.width, height: raw.height };
  }
  const pixels = await run(opened, options, async () => {
    const input = inputOf(opened);
    const meta = await input.metadata();
    const orientation = turnOf(meta, bytes, options);
    checkSize(meta, name, options);
    return toRgb(upright(input, orientation), meta, bytes);
  });
  options.signal?.throwIfAborted();
  return pixels;
}

/** Decodes one picture. Throws what {@link openImage} and {@link decodeOpened} throw. */
export async function decodeImage(
  source: ImageSource,
  options: DecodeOptions = {},
): Promise<DecodedImage> {
  const opened = await openImage(source, options);
  const [pixels, key] = await Promise.all([decodeOpened(opened, options), keyOf(opened)]);
  return { key, ...pixels };
}

/** Width and height as {@link decodeImage} would give them, without decoding pixels. */
export async function readImageSize(
  source: ImageSource,
  options: DecodeOptions = {},
): Promise<ImageSize> {
  const opened = await openImage(source, options);
  const { name, bytes } = opened;
  return run(opened, options, async () => {
    const meta = await inputOf(opened).metadata();
    checkSize(meta, name, options);
    const { width, height } = meta;
    const isTurned = liesOnItsSide(turnOf(meta, bytes, options));
    return isTurned ? { width: height, height: width } : { width, height };
  });
}

function turnOf(meta: Metadata, bytes: Uint8Array, options: DecodeOptions): number {
  return options.applyExif === false ? 1 : orientationOf(meta, bytes);
}

/** @throws ImageError FACELLM_IMAGE_TOO_LARGE */
function checkSize({ width, height }: ImageSize, name: string, options: DecodeOptions): void {
  const limit = options.maxPixels ?? DEFAULT_MAX_PIXELS;
  if (width * height <= limit) return;
  throw new ImageError(
    'FACELLM_IMAGE_TOO_LARGE',
    `${name} has ${width} x ${height} pixels, the limit is ${limit}; shrink it, or raise maxPixels ` +
      'if you trust where it comes from',
  );
}

/** An error of libvips becomes one that names the picture and says what its bytes tell. */
async function run<T>(
  { name, bytes }: Pick<OpenedImage, 'name' | 'bytes'>,
  options: DecodeOptions,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    options.signal?.throwIfAborted();
    if (cause instanceof FaceLlmError) throw cause;
    const impostor = impostorOf(bytes);
    if (impostor !== undefined) {
      throw createError('FACELLM_IMAGE_INVALID', `${name} ${impostor.text}`, { cause });
    }
    throw createError(
      'FACELLM_IMAGE_INVALID',
      `${name} cannot be decoded; expected a whole JPEG, PNG, WebP, GIF, TIFF or AVIF file`,
      { details: [damageOf(bytes)], cause },
    );
  }
}
