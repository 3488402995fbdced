/** Brings an {@link ImageSource} to the bytes of an image file. Nothing is ever fetched. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { createError, FaceLlmError, ImageError } from '../errors.js';
import type { ImageSource, RawImage } from './types.js';

export interface ImageBytes {
  readonly bytes: Uint8Array;
  /** How to name the picture in messages. */
  readonly name: string;
}

export function isRawImage(source: ImageSource): source is RawImage {
  return typeof source === 'object' && !(source instanceof URL) && !(source instanceof Uint8Array);
}

/** Short enough for an error message; a data URL or a Buffer has no name of its own. */
export function nameOf(source: ImageSource): string {
  if (source instanceof Uint8Array) return `image of ${source.byteLength} bytes`;
  if (isRawImage(source)) return 'raw image';
  const text = String(source);
  return text.startsWith('data:') ? `${text.slice(0, 32)}...` : text;
}

/**
 * @throws ImageError FACELLM_IMAGE_NOT_FOUND, FACELLM_IMAGE_INVALID
 */
export async function readSource(source: Exclude<ImageSource, RawImage>): Promise<ImageBytes> {
  const name = nameOf(source);
  const bytes = source instanceof Uint8Array ? source : await readLocation(String(source), name);
  if (bytes.byteLength > 0) return { bytes, name };
  throw new ImageError('FACELLM_IMAGE_INVALID', `${name} is empty; expected an image file`);
}

async function readLocation(location: string, name: string): Promise<Uint8Array> {
  if (/^data:/i.test(location)) return readDataUrl(location, name);
  if (/^file:/i.test(location)) return readPath(filePath(location, name), name);
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(location)) {
    throw new ImageError(
      'FACELLM_IMAGE_INVALID',
      `${name}: pictures are not fetched from the network; download it and pass a path or its bytes`,
    );
  }
  return readPath(location, name);
}

function filePath(url: string, name: string): string {
  try {
    return fileURLToPath(url);
  } catch (cause) {
    throw createError('FACELLM_IMAGE_INVALID', `${name} is not a usable file: URL`, { cause });
  }
}

async function readPath(path: string, name: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    const code = String((cause as { code?: unknown }).code);
    const reasons: Readonly<Record<string, string>> = {
      ENOENT: 'there is no such file; check the path',
      EISDIR: 'is a folder; name a picture in it',
      EACCES: 'may not be read; check its permissions',
    };
    throw createError(
      'FACELLM_IMAGE_NOT_FOUND',
      `${name}: ${reasons[code] ?? `cannot be read (${code})`}`,
      {
        cause,
      },
    );
  }
}

function readDataUrl(url: string, name: string): Uint8Array {
  const comma = url.indexOf(',');
  if (comma < 0) throw badDataUrl(name);
  const isBase64 = /;\s*base64\s*$/i.test(url.slice(0, comma));
  try {
    const body = decodeURIComponent(url.slice(comma + 1));
    return Buffer.from(body, isBase64 ? 'base64' : 'latin1');
  } catch (cause) {
    throw badDataUrl(name, cause);
  }
}

function badDataUrl(name: string, cause?: unknown): FaceLlmError {
  return createError(
    'FACELLM_IMAGE_INVALID',
    `${name} is not a usable data: URL; expected data:image/...;base64,...`,
    { cause },
  );
}
