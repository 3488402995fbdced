/** From a request's pictures to bytes that the library may decode: told by their magic, bounded by their header. */
import { ImageError } from '../errors.js';
import { readImageSize } from '../image/index.js';
import { ApiError } from './api-error.js';
import type { Picture } from './data-url.js';
import type { Policy } from './options.js';
import { NotFetched } from './remote-pictures.js';

/** Its own bytes, and the memory that its pixels will take. */
export interface TakenPicture {
  readonly bytes: Uint8Array;
  readonly decodedBytes: number;
}

/** A picture and the field that it came in. */
export interface PictureField {
  readonly picture: Picture;
  readonly param: string;
}

const MOST_SIDE = 16_384;
/** Three a pixel, four while libvips decodes. */
const BYTES_PER_PIXEL = 4;

const startsWith = (bytes: Uint8Array, at: number, text: string): boolean =>
  Buffer.from(bytes.buffer, bytes.byteOffset + at, Math.min(text.length, bytes.length - at)).equals(
    Buffer.from(text, 'latin1'),
  );

/** The format that a file's first bytes tell; SVG, PDF and film are none: they reach outside, or never end. */
export function formatOf(bytes: Uint8Array): string | undefined {
  if (bytes.length < 12) return undefined;
  if (startsWith(bytes, 0, '\xff\xd8\xff')) return 'jpeg';
  if (startsWith(bytes, 0, '\x89PNG\r\n\x1a\n')) return 'png';
  if (startsWith(bytes, 0, 'GIF87a') || startsWith(bytes, 0, 'GIF89a')) return 'gif';
  if (startsWith(bytes, 0, 'RIFF') && startsWith(bytes, 8, 'WEBP')) return 'webp';
  if (startsWith(bytes, 0, 'II*\0') || startsWith(bytes, 0, 'MM\0*')) return 'tiff';
  if (startsWith(bytes, 4, 'ftypavif') || startsWith(bytes, 4, 'ftypavis')) return 'avif';
  return undefined;
}

const USUAL = ['jpeg', 'png', 'gif', 'webp'];

const refusalOf =
  (param: string) =>
  (code: string, message: string): ApiError =>
    new ApiError(400, code, `${param}: ${message}`, { param });

/**
 * The bytes of a picture that is given by its address.
 *
 * @throws ApiError 400, the same whatever went wrong on the way
 */
async function fetchPicture(
  address: string,
  { remote, limits }: Policy,
  refuse: (code: string, message: string) => ApiError,
  signal: AbortSignal,
): Promise<Uint8Array> {
  if (remote === undefined) {
    const message =
      'this server fetches nothing (--image-hosts); send the picture as data:image/...;base64,...';
    throw refuse('invalid_image_url', message);
  }
  if (!remote.allows(address)) {
    const message =
      'expected https on one of the hosts that this server fetches from, without port and user';
    throw refuse('invalid_image_url', message);
  }
  const failed = (): ApiError =>
    refuse(
      'failed_to_download_image',
      `no picture of at most ${limits.imageBytes} bytes could be had from there`,
    );
  try {
    const bytes = await remote.fetch(address, signal);
    if (formatOf(bytes) !== undefined) return bytes;
  } catch (error) {
    if (!(error instanceof NotFetched)) throw error;
  }
  throw failed();
}

/** @throws ApiError 400 of OpenAI's own codes */
export async function takePicture(
  { picture, param }: PictureField,
  policy: Policy,
  signal: AbortSignal,
): Promise<TakenPicture> {
  const { limits, extraFormats } = policy;
  const refuse = refusalOf(param);
  if ('code' in picture) throw refuse(picture.code, picture.message);
  const bytes =
    'bytes' in picture
      ? picture.bytes
      : await fetchPicture(picture.address, policy, refuse, signal);
  if (bytes.length > limits.imageBytes) {
    throw refuse('image_file_too_large', `the file has more than ${limits.imageBytes} bytes`);
  }
  const format = formatOf(bytes);
  const formats = [...USUAL, ...extraFormats];
  if (format === undefined || !formats.includes(format)) {
    throw refuse('unsupported_image_media_type', `expected a file in ${formats.join(', ')}`);
  }
  try {
    const { width, height } = await readImageSize(bytes, { maxPixels: limits.imagePixels });
    if (Math.max(width, height) > MOST_SIDE) {
      throw refuse('image_too_large', `a side is longer than ${MOST_SIDE} pixels`);
    }
    return { bytes, decodedBytes: width * height * BYTES_PER_PIXEL };
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
    throw error.code === 'FACELLM_IMAGE_TOO_LARGE'
      ? refuse('image_too_large', `the picture has more than ${limits.imagePixels} pixels`)
      : refuse('image_parse_error', 'the file cannot be read as a picture');
  }
}
