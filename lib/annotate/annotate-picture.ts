/** One picture to its rows: read, faces found and cut out, each asked. What is wrong with a picture is a row, too. */
import { webcrypto } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

import { createError, FaceLlmError, ImageError } from '../errors.js';
import { cutFaces, keepChips, type FaceRecord, type ResolvedFaceOptions } from '../faces/index.js';
import { systemCode } from '../files/index.js';
import { decodeOpened, type ImageSource, openImage, readImageSize } from '../image/index.js';
import { answersOf, type Answers, type Asking, OutOfTokens } from './answers.js';

/** Of a row without an answer. */
export type MissedStatus = 'unreadable' | 'too-large' | 'model-error' | 'no-face' | 'too-small';
export type RowStatus = 'ok' | MissedStatus;
/** Failures, which asking again may mend by itself. */
export const FAILED: readonly RowStatus[] = ['unreadable', 'too-large', 'model-error'];

export interface AnnotationRow extends Answers {
  readonly file: string;
  readonly sha256: string | null;
  /** Pixels, upright. */
  readonly width: number | null;
  readonly height: number | null;
  readonly facesFound: number | null;
  readonly face: FaceRecord | null;
  readonly status: RowStatus;
  readonly error: string | null;
}

export interface Annotating extends Asking {
  /** Undefined: the whole picture is asked about. */
  readonly faces: ResolvedFaceOptions | undefined;
  /** A FaceLlm answers, which writes to no chip: it need neither copy nor hash them. Anybody else's model may write to what it is given. */
  readonly isFaceLlm: boolean;
}

async function ask(
  work: Annotating,
  image: ImageSource | readonly ImageSource[],
): Promise<Answers & Pick<AnnotationRow, 'status' | 'error'>> {
  try {
    const answers = await answersOf(work, image, work.faces === undefined ? 'off' : 'cropped');
    return { status: 'ok', error: null, ...answers };
  } catch (error) {
    work.signal.throwIfAborted();
    // A whole picture is decoded by the model: what is wrong with it is not the model's fault.
    if (error instanceof ImageError) throw error;
    if (error instanceof OutOfTokens) {
      return { status: 'model-error', error: error.message, ...error.answers };
    }
    // A model that is gone answers nothing any more, nor is a calibration for another one of use; what is a question's own fault concerns its row.
    if (!(error instanceof FaceLlmError) || /DISPOSED|DEVICE|MEMORY|CALIBRATION/.test(error.code))
      throw error;
    return { status: 'model-error', error: error.message, answers: {} };
  }
}

const EMPTY = { width: null, height: null, facesFound: null, face: null, answers: {} };

/** Of the bytes, hashed in Node's thread pool: a photograph's would hold up the event loop. */
async function hashOf(bytes: Uint8Array): Promise<string> {
  const digest = await webcrypto.subtle.digest('SHA-256', bytes);
  return Buffer.from(digest).toString('hex');
}

/** A pipe nobody writes to would be waited for for ever. */
const AT_ONCE = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

async function readStamped(
  path: string,
  file: string,
): Promise<{ bytes: Uint8Array; stamp: Stamp }> {
  await using handle = await open(path, AT_ONCE);
  // Before the bytes: what is written meanwhile shows as a later change.
  const found = await handle.stat();
  if (!found.isFile()) throw createError('FACELLM_IMAGE_INVALID', `${file} is no file`);
  const { size, mtimeMs } = found;
  return { bytes: await handle.readFile(), stamp: [size, mtimeMs] };
}

async function rowsOf(
  work: Annotating,
  seen: Pick<AnnotationRow, 'file' | 'sha256'>,
  bytes: Uint8Array,
): Promise<readonly AnnotationRow[]> {
  const { faces, signal } = work;
  if (faces === undefined) {
    // Its pixels are the model's to decode.
    const { width, height } = await readImageSize(bytes, { signal });
    const answers = await ask(work, bytes);
    return [{ ...seen, width, height, facesFound: null, face: null, ...answers }];
  }
  const opened = await openImage(bytes, { signal });
  const image = { key: seen.sha256 ?? '', ...(await decodeOpened(opened, { signal })) };
  const { width, height } = image;
  const cut = await cutFaces(image, faces, signal);
  const { found, used, faces: all, chips } = work.isFaceLlm ? keepChips(image, cut) : cut;
  const known = { ...seen, width, height, facesFound: found };
  if (chips.length === 0) {
    const status = found === 0 ? 'no-face' : 'too-small';
    return [{ ...known, face: null, status, error: null, answers: {} }];
  }
  if (faces.which === 'all') return [{ ...known, face: null, ...(await ask(work, chips)) }];
  return Promise.all(
    chips.map(async (chip, i) => ({
      ...known,
      face: all[used[i] ?? 0] ?? null,
      ...(await ask(work, chip)),
    })),
  );
}

/** By which a file that was not written to is told without reading it: bytes, and milliseconds of its last change. */
export type Stamp = readonly [size: number, mtimeMs: number];

export interface AnnotatedPicture {
  readonly rows: readonly AnnotationRow[];
  /** Of the file that was read; none where it could not be. */
  readonly stamp?: Stamp | undefined;
}

/** @param path of the file; its name in the list stands in the rows */
export async function annotatePicture(
  work: Annotating,
  file: string,
  path: string,
): Promise<AnnotatedPicture> {
  let hash: string | null = null;
  let stamp: Stamp | undefined;
  try {
    const read = await readStamped(path, file);
    stamp = read.stamp;
    hash = await hashOf(read.bytes);
    return { rows: await rowsOf(work, { file, sha256: hash }, read.bytes), stamp };
  } catch (error) {
    work.signal.throwIfAborted();
    const isOfSystem = (error as { errno?: unknown } | null)?.errno !== undefined;
    if (!(error instanceof ImageError) && !isOfSystem) throw error;
    const isLarge = error instanceof ImageError && error.code === 'FACELLM_IMAGE_TOO_LARGE';
    const message =
      error instanceof ImageError ? error.message : `cannot be read (${systemCode(error)})`;
    const status = isLarge ? 'too-large' : 'unreadable';
    return { rows: [{ ...EMPTY, file, sha256: hash, status, error: message }], stamp };
  }
}
