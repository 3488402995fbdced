/**
 * Hashes that tell two files apart without reading all of them: their size, and blocks from all over. Two pictures
 * or two checkpoints of equal size differ nearly everywhere; a change of single bytes may go unnoticed.
 */
import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';

import { createError, type ErrorCode } from '../errors.js';

/** Up to this size a file is read whole. */
const WHOLE_BYTES = 4 << 10;
const BLOCK_BYTES = 1 << 10;
/** A header of more is none: the engine says what is wrong with it. */
const MOST_HEADER_BYTES = 100e6;

async function readBlock(file: FileHandle, start: number, length: number): Promise<Buffer> {
  const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, start);
  return buffer.subarray(0, bytesRead);
}

async function withFile(
  path: string,
  code: ErrorCode,
  add: (file: FileHandle, size: number) => Promise<void>,
): Promise<void> {
  try {
    const file = await open(path, 'r');
    try {
      await add(file, (await file.stat()).size);
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw createError(code, `${path} cannot be read; it was there a moment ago`, { cause });
  }
}

/**
 * sha256 over size, beginning, middle and end of a file, in lower-case hex; three blocks of 1 KiB, or all of a small
 * file.
 *
 * @throws ImageError FACELLM_IMAGE_NOT_FOUND
 */
export async function sampledPictureHash(path: string): Promise<string> {
  const hash = createHash('sha256');
  await withFile(path, 'FACELLM_IMAGE_NOT_FOUND', async (file, size) => {
    hash.update(`${size}\n`);
    const starts = [0, Math.floor((size - BLOCK_BYTES) / 2), size - BLOCK_BYTES];
    if (size <= WHOLE_BYTES) hash.update(await readBlock(file, 0, size));
    else for (const start of starts) hash.update(await readBlock(file, start, BLOCK_BYTES));
  });
  return hash.digest('hex');
}

interface TensorPlace {
  readonly data_offsets?: readonly [begin: number, end: number];
}

/** Of every tensor its first bytes and those in its middle: half a KiB each. */
async function addTensors(hash: Hash, file: FileHandle, size: number): Promise<void> {
  const length = size < 8 ? 0 : Number((await readBlock(file, 0, 8)).readBigUInt64LE(0));
  if (length > Math.min(size - 8, MOST_HEADER_BYTES)) return;
  const header = await readBlock(file, 8, length);
  hash.update(header);
  const half = BLOCK_BYTES / 2;
  for (const place of Object.values(JSON.parse(header.toString()) as Record<string, TensorPlace>)) {
    const [begin, end] = place.data_offsets ?? [0, 0];
    for (const start of [begin, begin + Math.floor((end - begin) / 2)]) {
      hash.update(await readBlock(file, 8 + length + start, Math.min(half, end - start)));
    }
  }
}

/**
 * sha256 over sizes, headers and samples of every tensor of safetensors files, in lower-case hex.
 *
 * @throws CheckpointError FACELLM_CHECKPOINT_NOT_FOUND
 */
export async function sampledWeightsHash(paths: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const path of paths) {
    await withFile(path, 'FACELLM_CHECKPOINT_NOT_FOUND', async (file, size) => {
      hash.update(`${size}\n`);
      await addTensors(hash, file, size);
    });
  }
  return hash.digest('hex');
}
