/** Pictures as they are sent: bytes unchanged, as a data URL. The last few are kept. */
import { readFile } from 'node:fs/promises';

import sharp from 'sharp';

import { impostorOf } from '../../files/index.js';
import { TeacherFailure } from './exchange.js';

export interface Picture {
  readonly dataUrl: string;
  readonly width: number;
  readonly height: number;
}

/** A picture's questions follow each other; more than these are kept only while they are small. */
const KEPT_ALWAYS = 16;
const KEPT_BYTES = 64 * 1024 * 1024;

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
      const fault = impostorOf(bytes)?.text ?? 'is no picture that can be decoded';
      throw new TeacherFailure('request', `${path} ${fault}`, { cause });
    });
  const mime = MIME[format];
  if (mime === undefined) {
    throw new TeacherFailure('request', `${path} is ${format}; expected JPEG, PNG, WebP or GIF`);
  }
  return { dataUrl: `data:${mime};base64,${bytes.toString('base64')}`, width, height };
}

export class Pictures {
  readonly #kept = new Map<string, Promise<Picture>>();
  readonly #bytes = new Map<string, number>();
  #sum = 0;

  /** @throws TeacherFailure of kind `request` */
  get(path: string): Promise<Picture> {
    const kept = this.#kept.get(path);
    if (kept !== undefined) return kept;
    const picture = readPicture(path);
    this.#kept.set(path, picture);
    picture.then(
      ({ dataUrl }) => this.#count(path, dataUrl.length),
      () => this.#count(path, 0),
    );
    return picture;
  }

  #count(path: string, bytes: number): void {
    this.#bytes.set(path, bytes);
    this.#sum += bytes;
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= KEPT_ALWAYS || this.#sum <= KEPT_BYTES) return;
      this.#kept.delete(oldest);
      this.#sum -= this.#bytes.get(oldest) ?? 0;
      this.#bytes.delete(oldest);
    }
  }
}
