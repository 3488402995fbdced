/** A safetensors file without one of its tensors (spec internvl3.md, section 3.4). */
import { createReadStream } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';

import { createError } from '../errors.js';
import { isJsonObject } from './json-file.js';

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

async function readHeader(path: string): Promise<{
  readonly metadata: unknown;
  readonly entries: readonly (readonly [string, Entry])[];
  readonly dataStart: number;
}> {
  const file = await open(path, 'r');
  try {
    const length = Buffer.alloc(8);
    await file.read(length, 0, 8, 0);
    const header = Buffer.alloc(Number(length.readBigUInt64LE(0)));
    await file.read(header, 0, header.length, 8);
    const { __metadata__: metadata, ...rest } = JSON.parse(header.toString('utf8')) as Record<
      string,
      unknown
    >;
    const entries = Object.entries(rest).filter((pair): pair is [string, Entry] =>
      isJsonObject(pair[1]),
    );
    return { metadata, entries, dataStart: 8 + header.length };
  } finally {
    await file.close();
  }
}

function headerBytes(header: object): Buffer {
  const json = Buffer.from(JSON.stringify(header));
  const padded = Buffer.alloc(Math.ceil(json.length / 8) * 8, ' ');
  json.copy(padded);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([length, padded]);
}

/** Rewrites a file that this package has written; its other tensors keep their order and move up. */
export async function dropTensor(path: string, name: string): Promise<void> {
  const { metadata, entries, dataStart } = await readHeader(path);
  const dropped = entries.find(([key]) => key === name)?.[1];
  if (dropped === undefined) {
    throw createError('FACELLM_INTERNAL', `${path} holds no ${name}`);
  }
  const [begin, end] = dropped.data_offsets;
  const header: Record<string, unknown> = { __metadata__: metadata };
  for (const [key, entry] of entries) {
    if (key === name) continue;
    const moved = entry.data_offsets[0] >= end ? end - begin : 0;
    header[key] = { ...entry, data_offsets: entry.data_offsets.map((offset) => offset - moved) };
  }
  const target = `${path}.part`;
  const file = await open(target, 'wx');
  try {
    await file.write(headerBytes(header));
    const ranges = [
      { start: dataStart, end: dataStart + begin - 1 },
      { start: dataStart + end, end: Infinity },
    ];
    for (const range of ranges) {
      if (range.end < range.start) continue;
      const parts = createReadStream(path, range);
      await pipeline(parts, async (source: AsyncIterable<Buffer>) => {
        for await (const part of source) await file.appendFile(part);
      });
    }
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(target, path);
}
