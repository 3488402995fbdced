/** Pictures as they are sent: bytes unchanged, as a data URL. The last few are kept. */
import { readFile } from 'node:fs/promises';

import sharp from 'sharp';

import { TeacherFailure } from './teacher.js';

export interface Picture {
  readonly dataUrl: string;
  readonly width: number;
  readonly height: number;
}

/** A picture's questions follow each other; this many pictures are under way at a time at most. */
const KEPT = 64;

const MIME: Readonly<Record<string, string>> = {
  jpeg: 'image/jpeg',
  png: 'image/png',
  webp: 'image/webp',
  gif: 'image/gif',
};

async function readPicture(path: string): Promise<Picture> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw new TeacherFailure('request', `${path} cannot be read`, { cause });
  }
  const { format, width, height } = await sharp(bytes)
    .metadata()
    .catch((cause: unknown) => {
      throw new TeacherFailure('request', `${path} is no picture that can be decoded`, { cause });
    });
  const mime = MIME[format];
  if (mime === undefined) {
    throw new TeacherFailure('request', `${path} is ${format}; expected JPEG, PNG, WebP or GIF`);
  }
  return { dataUrl: `data:${mime};base64,${bytes.toString('base64')}`, width, height };
}

export class Pictures {
  readonly #kept = new Map<string, Promise<Picture>>();

  /** @throws TeacherFailure of kind `request` */
  get(path: string): Promise<Picture> {
    const kept = this.#kept.get(path);
    if (kept !== undefined) return kept;
    const picture = readPicture(path);
    this.#kept.set(path, picture);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > KEPT && oldest !== undefined) this.#kept.delete(oldest);
    return picture;
  }
}
