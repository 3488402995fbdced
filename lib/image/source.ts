/**
 * Brings an {@link ImageSource} to the bytes of an image file. Nothing is ever fetched. Bytes of the caller's are copied
 * before anything is awaited: a buffer that is written to afterwards, as with frames of a camera, changes no request.
 */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { types } from 'node:util';

import { z } from 'zod';

import { createError, FaceLlmError, ImageError } from '../errors.js';
import { field, fields, kindOf, text, whole } from '../options/index.js';
import { keyOfOwn } from './own-pixels.js';
import type { ImageSource, RawImage } from './types.js';

export interface ImageBytes {
  readonly bytes: Uint8Array;
  /** How to name the picture in messages. */
  readonly name: string;
}

/** As long as a name of a file and its folders may well be. */
const LONGEST_NAME = 200;

const isUnshared = (value: unknown): boolean =>
  types.isUint8Array(value) && !types.isSharedArrayBuffer(value.buffer);

/** Shared memory could change while it is copied: half of one picture, half of the next. */
const ownBytes = field<Uint8Array>(
  'a Uint8Array that is not in shared memory (copy it with slice())',
  isUnshared,
).transform((bytes) => new Uint8Array(bytes));
const size = whole(1);

const rawImage = fields<RawImage>({
  data: ownBytes,
  width: size,
  height: size,
  channels: field<1 | 3 | 4>('1, 3 or 4', (value) =>
    [1, 3, 4].includes(value as number),
  ).optional(),
}).check((context) => {
  const { data, width, height, channels = 3 } = context.value;
  const expected = width * height * channels;
  if (data.byteLength === expected) return;
  context.issues.push({
    code: 'custom',
    message: `expected ${expected} bytes, received ${data.byteLength}`,
    path: ['data'],
    input: data,
  });
});

const location = text(
  'a path, a file: or data: URL, the bytes of an image file, or {data, width, height}',
);
const url = z.instanceof(URL).transform(String);

const own = z.custom<RawImage>();

/** A picture of the caller's as it is now: bytes copied, a URL as text. One of ours stays itself. */
export const imageSource: z.ZodType<ImageSource> = kindOf<ImageSource>((value) => {
  if (keyOfOwn(value) !== undefined) return own;
  if (value instanceof URL) return url;
  if (types.isUint8Array(value)) return ownBytes;
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? rawImage : location;
});

export function isRawImage(source: ImageSource): source is RawImage {
  return typeof source === 'object' && !(source instanceof URL) && !types.isUint8Array(source);
}

/** Short enough for an error message; a data URL or a Buffer has no name of its own. */
export function nameOf(source: ImageSource): string {
  if (types.isUint8Array(source)) return `image of ${source.byteLength} bytes`;
  if (isRawImage(source)) return 'raw image';
  const text = String(source);
  const isShort = text.length <= LONGEST_NAME && !text.startsWith('data:');
  return isShort ? text : `${text.slice(0, 32)}...`;
}

/**
 * @throws ImageError FACELLM_IMAGE_NOT_FOUND, FACELLM_IMAGE_INVALID
 */
export async function readSource(source: Exclude<ImageSource, RawImage>): Promise<ImageBytes> {
  const name = nameOf(source);
  const bytes = types.isUint8Array(source) ? source : await readLocation(String(source), name);
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

/** How JPEG, PNG, GIF and WebP files begin in base64. */
const BASE64_PICTURE = /^(\/9j\/|iVBORw0KGgo|R0lGOD|UklGR)/;

async function readPath(path: string, name: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    const code = String((cause as { code?: unknown }).code);
    if (BASE64_PICTURE.test(path)) {
      const message = `${name} looks like a picture in base64; put data:image/...;base64, in front of it`;
      throw createError('FACELLM_IMAGE_INVALID', message, { cause });
    }
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
