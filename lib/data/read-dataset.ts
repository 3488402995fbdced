/**
 * Reads a training dataset: ShareGPT records with pictures, as LLaMA-Factory v0.9.3 takes them
 * (src/llamafactory/data), but with every fault reported instead of a warning.
 */
import { dirname, isAbsolute, resolve } from 'node:path';

import { createError } from '../errors.js';
import { type CheckedRecord, checkRecord } from './check-record.js';
import type { RawRecord } from './data-file.js';
import { abortSignal, checkArguments, fields, name, whole, word } from '../options/index.js';
import type { RecordLayout } from './layout.js';
import { findMissing, findUndecodable, isFolder } from './lookup.js';
import { type FaultyRecord, invalidRecords } from './skipped.js';
import { openSource } from './source.js';
import type { Dataset, TrainingRecord } from './types.js';

export interface ReadDatasetOptions {
  /** Which dataset of a dataset_info.json; may be left out if there is only one. */
  readonly name?: string | undefined;
  /**
   * Folder that relative image paths start from.
   * @default `image_root` of the dataset_info.json, else the folder of the data file
   */
  readonly imageRoot?: string | undefined;
  /** Takes the first records only; the others are not checked. @default all */
  readonly maxSamples?: number | undefined;
  /**
   * `exist`: image files are there. `header`: they also begin as pictures do, which takes some 0.3 ms each and finds
   * web pages, Git LFS pointers and empty files. @default 'exist'
   */
  readonly checkImages?: 'exist' | 'header' | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Throw if any record is faulty, or leave such records out. @default 'error' */
  readonly onInvalid?: 'error' | 'skip' | undefined;
}

const readOptions = fields<ReadDatasetOptions>({
  name: name('the name of a dataset').optional(),
  imageRoot: name('the path of a folder').optional(),
  maxSamples: whole(1).optional(),
  checkImages: word('exist', 'header').optional(),
  signal: abortSignal.optional(),
  onInvalid: word('error', 'skip').optional(),
});

/** The absolute path of every picture name; `root` is where relative names start. */
function absolutePaths(
  records: readonly CheckedRecord[],
  root: string,
): ReadonlyMap<string, string> {
  // FairFaceGPT asks eight questions about each picture: resolve each name once.
  const names = new Set(records.flatMap(({ images }) => images));
  return new Map([...names].map((name) => [name, resolve(root, name)]));
}

async function checkRoot(root: string, names: Iterable<string>): Promise<void> {
  if ([...names].every(isAbsolute) || (await isFolder(root))) return;
  throw createError(
    'FACELLM_DATA_NOT_FOUND',
    `there is no folder ${root}, in which the images should lie; correct imageRoot, or image_root of the dataset_info.json`,
  );
}

function checkRaw({ value, problem }: RawRecord, layout: RecordLayout): CheckedRecord {
  if (problem === undefined) return checkRecord(value, layout);
  return { images: [], system: undefined, turns: [], facts: {}, problems: [problem] };
}

/** Checks the records, then their pictures. */
async function sortRecords(
  raw: readonly RawRecord[],
  layout: RecordLayout,
  root: string,
  { checkImages, signal }: ReadDatasetOptions,
): Promise<{ records: TrainingRecord[]; faulty: FaultyRecord[] }> {
  const checked = raw.map((record) => checkRaw(record, layout));
  const paths = absolutePaths(checked, root);
  await checkRoot(root, paths.keys());
  const pictures = new Set(paths.values());
  const missing = await findMissing(pictures);
  const there = [...pictures].filter((path) => !missing.has(path));
  const undecodable =
    checkImages === 'header' ? await findUndecodable(there, signal) : new Map<string, string>();
  const records: TrainingRecord[] = [];
  const faulty: FaultyRecord[] = [];
  for (const [index, { images: names, problems, ...own }] of checked.entries()) {
    const images = names.map((name) => paths.get(name) ?? name);
    const lost = images.flatMap((path) => {
      const problem = missing.get(path) ?? undecodable.get(path);
      return problem === undefined ? [] : [`image ${path} ${problem}`];
    });
    if (problems.length + lost.length === 0) {
      records.push({ index, images, ...own });
    } else faulty.push({ index, problems: [...problems, ...lost], line: raw[index]?.line });
  }
  return { records, faulty };
}

/**
 * Reads a dataset whole and checks every record of it, including that its image files exist; they
 * are not decoded (`checkImages: 'header'` reads their beginnings). `path` is a ShareGPT file (a JSON array, or JSONL; UTF-8), a dataset_info.json
 * that describes one, or a folder that contains a dataset_info.json.
 *
 * A record is a conversation (optional system turn, then questions and answers in turns) with as
 * many `<image>` in its questions as it has images. Keys of a record that are not read are let
 * pass, unless they hold pictures. Parsing blocks the event loop (under a second for 50 MB).
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT
 * @throws DataError FACELLM_DATA_NOT_FOUND if the file, the named dataset or the image folder is
 * absent; FACELLM_DATA_INVALID if the file is not JSON, is empty, its dataset_info.json entry is
 * wrong, or records are (details: "record 17: …", counted from 0); with `onInvalid: 'skip'` the
 * last only if no record is left
 */
export async function readDataset(
  path: string,
  options: ReadDatasetOptions = {},
): Promise<Dataset> {
  const [place, checked] = checkArguments(
    'the options of the dataset are wrong',
    [name('a path'), path, 'path'],
    [readOptions, options],
  );
  const { imageRoot, maxSamples = Infinity, onInvalid = 'error' } = checked;
  const source = await openSource(place, checked.name);
  const { file, sha256 } = source;
  const raw = source.records.slice(0, Math.min(maxSamples, source.numSamples ?? Infinity));
  if (raw.length === 0) {
    throw createError('FACELLM_DATA_INVALID', `${file} holds no records; expected at least one`);
  }
  const root = resolve(imageRoot ?? source.imageRoot ?? dirname(file));
  const { records, faulty } = await sortRecords(raw, source.layout, root, checked);
  if (faulty.length > 0 && (onInvalid === 'error' || records.length === 0)) {
    throw invalidRecords({ file, faulty, count: raw.length });
  }
  return {
    file,
    records,
    skipped: faulty.map(({ index, problems }) => ({ index, problems })),
    sha256,
  };
}
