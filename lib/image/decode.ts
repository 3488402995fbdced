/**
 * Image files to RGB, as Pillow's `convert("RGB")` gives it (spec internvl3.md, section 4.1): sharp
 * without colour management. Decoding and hashing run in Node's thread pool.
 */
import { webcrypto } from 'node:crypto';

import sharp, { type Metadata, type Sharp } from 'sharp';

import { createError, FaceLlmError, ImageError, InvalidArgumentError } from '../errors.js';
import { isRawImage, nameOf, readSource } from './source.js';
import { toRgb } from './to-rgb.js';
import {
  type DecodedImage,
  type DecodeOptions,
  DEFAULT_MAX_PIXELS,
  type ImageSize,
  type ImageSource,
  type RawImage,
} from './types.js';

/**
 * Decodes one picture.
 *
 * @throws ImageError FACELLM_IMAGE_NOT_FOUND, FACELLM_IMAGE_INVALID, FACELLM_IMAGE_TOO_LARGE
 * @throws InvalidArgumentError for raw pixels whose size does not fit
 */
export async function decodeImage(
  source: ImageSource,
  options: DecodeOptions = {},
): Promise<DecodedImage> {
  options.signal?.throwIfAborted();
  const { input, name, bytes, tag } = await open(source, options);
  const [pixels, key] = await Promise.all([
    run(name, options, async () => {
      const meta = await input.metadata();
      checkSize(meta, name, options);
      const upright = options.applyExif === false ? input : input.rotate();
      return toRgb(upright, meta, bytes);
    }),
    hash(bytes, tag),
  ]);
  options.signal?.throwIfAborted();
  return { key, ...pixels };
}

/** Width and height as {@link decodeImage} would give them, without decoding pixels. */
export async function readImageSize(
  source: ImageSource,
  options: DecodeOptions = {},
): Promise<ImageSize> {
  const { input, name } = await open(source, options);
  return run(name, options, async () => checkSize(await input.metadata(), name, options));
}

interface Opened {
  readonly input: Sharp;
  readonly name: string;
  readonly bytes: Uint8Array;
  /** What besides the bytes determines the pixels. */
  readonly tag: string;
}

async function open(source: ImageSource, options: DecodeOptions): Promise<Opened> {
  // The size is checked by us beforehand, with a message of our own.
  const limits = { limitInputPixels: false, failOn: 'error', ignoreIcc: true } as const;
  if (isRawImage(source)) {
    const { data, width, height } = source;
    const channels = source.channels ?? 3;
    checkRaw(source, channels);
    const input = sharp(data, { ...limits, raw: { width, height, channels } });
    return { input, name: nameOf(source), bytes: data, tag: `raw ${width}x${height}x${channels}` };
  }
  const { bytes, name } = await readSource(source);
  const tag = options.applyExif === false ? 'file, as stored' : 'file, upright';
  return { input: sharp(bytes, limits), name, bytes, tag };
}

function checkRaw({ data, width, height }: RawImage, channels: number): void {
  const isSize = (n: number): boolean => Number.isSafeInteger(n) && n > 0;
  const problems: string[] = [];
  if (!isSize(width) || !isSize(height))
    problems.push(`expected a width and height of at least 1, got ${width} x ${height}`);
  if (![1, 3, 4].includes(channels)) problems.push(`channels: expected 1, 3 or 4, got ${channels}`);
  if (!(data instanceof Uint8Array)) problems.push('data: expected a Uint8Array');
  else if (problems.length === 0 && data.byteLength !== width * height * channels) {
    problems.push(`data: expected ${width * height * channels} bytes, got ${data.byteLength}`);
  }
  if (problems.length === 0) return;
  throw new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', 'raw image: wrong size or kind', {
    details: problems,
  });
}

function checkSize(meta: Metadata, name: string, options: DecodeOptions): ImageSize {
  const { width, height } = options.applyExif === false ? meta : (meta.autoOrient ?? meta);
  const limit = options.maxPixels ?? DEFAULT_MAX_PIXELS;
  if (width * height <= limit) return { width, height };
  throw new ImageError(
    'FACELLM_IMAGE_TOO_LARGE',
    `${name} has ${width} x ${height} pixels, the limit is ${limit}; shrink it, or raise maxPixels ` +
      'if you trust where it comes from',
  );
}

/** libvips' messages are about its own layers; ours names the picture and keeps theirs as detail. */
async function run<T>(name: string, options: DecodeOptions, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    options.signal?.throwIfAborted();
    if (cause instanceof FaceLlmError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw createError(
      'FACELLM_IMAGE_INVALID',
      `${name} cannot be decoded; expected a whole JPEG, PNG, WebP, GIF, TIFF or AVIF file`,
      { details: [reason.trim()], cause },
    );
  }
}

async function hash(bytes: Uint8Array, tag: string): Promise<string> {
  // A copy of bytes that JavaScript could still change is made by digest() itself.
  const digest = await webcrypto.subtle.digest('SHA-256', bytes);
  return `${Buffer.from(digest).toString('hex')} ${tag}`;
}
