/** `facellm faces PICTURE...`: where faces are, as a table, JSON, JSON lines or CSV; their chips as files. No model is needed. */
import { mkdir } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';

import sharp from 'sharp';

import { ImageError } from '../errors.js';
import { detectFaces, type DetectedFaces } from '../faces/index.js';
import { csvLine } from '../files/index.js';
import { FILES_AT_ONCE, prefetch } from '../jobs/index.js';
import { StatusLine } from '../progress/index.js';
import { type FaceFlags, faceOptionsOf } from './face-options.js';
import { interruptSignal } from './interrupt.js';
import { type Console, describeError, table } from './output.js';

export interface FacesFlags extends FaceFlags {
  readonly json?: boolean;
  readonly csv?: boolean;
  readonly saveCrops?: string;
}

interface Seen {
  readonly file: string;
  readonly faces?: DetectedFaces;
  readonly error?: ImageError;
}

const COLUMNS = [
  ...['file', 'status', 'width', 'height', 'found', 'face', 'used', 'x', 'y', 'w', 'h', 'score'],
  ...['pass', 'roll', 'chip_side', 'flags'],
];

/** One row a face; a picture without one, or one that cannot be read, has a row that says so. */
function rowsOf({ file, faces, error }: Seen): string[][] {
  if (faces === undefined) return [[file, error?.code ?? '', ...Array<string>(14).fill('')]];
  const { width, height, found } = faces;
  const head = [String(width), String(height), String(found)];
  if (found === 0) return [[file, 'no-face', ...head, ...Array<string>(11).fill('')]];
  return faces.faces.map(({ index, box, score, pass, roll, chip, flags }) => [
    ...[file, 'ok', ...head, String(index), faces.used.includes(index) ? 'yes' : 'no'],
    ...[box.x, box.y, box.width, box.height].map((value) => value.toFixed(1)),
    ...[score.toFixed(3), pass, roll.toFixed(1), chip.side.toFixed(1), flags.join(' ')],
  ]);
}

/** Names that two pictures of different folders may share are told apart by their place in the list. */
async function saveChips(folder: string, place: number, seen: Seen): Promise<void> {
  const name = basename(seen.file, extname(seen.file));
  for (const [i, { data, width, height }] of (seen.faces?.chips ?? []).entries()) {
    const path = join(
      folder,
      `${String(place).padStart(6, '0')}_${name}_${seen.faces?.used[i]}.png`,
    );
    await sharp(data, { raw: { width, height, channels: 3 } })
      .png()
      .toFile(path);
  }
}

/** @returns the exit code: 1 where a picture could not be read */
export async function runFaces(
  files: readonly string[],
  flags: FacesFlags,
  streams: Console,
): Promise<number> {
  using interrupt = interruptSignal();
  const { signal } = interrupt;
  const options = { which: 'each' as const, ...faceOptionsOf(flags), signal };
  const { saveCrops } = flags;
  if (saveCrops !== undefined) await mkdir(saveCrops, { recursive: true });
  const status = new StatusLine({ stream: streams.stderr, intervalSeconds: 5 });
  const look = async (file: string): Promise<Seen> => {
    try {
      return { file, faces: await detectFaces(file, options) };
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof ImageError) return { file, error };
      throw error;
    }
  };
  const rows: string[][] = [];
  let place = 0;
  let failed = 0;
  if (flags.csv === true) streams.stdout.write(csvLine(COLUMNS));
  for await (const seen of prefetch(files, FILES_AT_ONCE, look)) {
    if (seen.error !== undefined) {
      failed++;
      streams.stderr.write(`${describeError(seen.error)}\n`);
    }
    if (saveCrops !== undefined) await saveChips(saveCrops, place, seen);
    if (flags.json === true) streams.stdout.write(`${JSON.stringify(asJson(seen))}\n`);
    else if (flags.csv === true) for (const row of rowsOf(seen)) streams.stdout.write(csvLine(row));
    else rows.push(...rowsOf(seen));
    place++;
    if (files.length > FILES_AT_ONCE && status.isDue)
      status.show(`${place} of ${files.length} pictures`);
  }
  status.erase();
  if (flags.json !== true && flags.csv !== true) {
    streams.stdout.write(`${table([COLUMNS, ...rows])}\n`);
  }
  return failed > 0 ? 1 : 0;
}

function asJson({ file, faces, error }: Seen): object {
  if (faces === undefined) return { file, status: 'unreadable', error: error?.message };
  const status = faces.found === 0 ? 'no-face' : 'ok';
  return { file, status, ...faces, chips: undefined };
}
