/** From what the caller names to records and how to read them. */
import { basename, dirname, join, resolve } from 'node:path';

import { createError } from '../errors.js';
import { type RawRecord, readDataFile } from './data-file.js';
import { type DatasetEntry, INFO_NAME, readEntry } from './dataset-info.js';
import { didYouMean } from '../options/describe.js';
import type { JsonObject } from '../files/index.js';
import { BARE_LAYOUT, type RecordLayout } from './layout.js';
import { isFolder } from './lookup.js';

export interface DataSource {
  /** Absolute path of the data file. */
  readonly file: string;
  readonly records: readonly RawRecord[];
  readonly sha256: string;
  readonly layout: RecordLayout;
  /** The dataset_info.json's `image_root`, absolute. */
  readonly imageRoot: string | undefined;
  readonly numSamples: number | undefined;
}

function chooseEntry(info: JsonObject, path: string, name: string | undefined): string {
  const names = Object.keys(info);
  if (name === undefined) {
    const [only] = names;
    if (only !== undefined && names.length === 1) return only;
    throw createError(
      'FACELLM_INVALID_ARGUMENT',
      `${path} has ${names.length} datasets; give the name of one`,
      { details: names },
    );
  }
  if (Object.hasOwn(info, name)) return name;
  throw createError(
    'FACELLM_DATA_NOT_FOUND',
    `${path} has no dataset ${name}; ${didYouMean(name, names)}`,
    { details: names },
  );
}

function entryOf(info: JsonObject, path: string, name: string | undefined): DatasetEntry {
  const chosen = chooseEntry(info, path, name);
  const problems: string[] = [];
  const entry = readEntry(info[chosen], dirname(path), (problem) => {
    problems.push(`${chosen}: ${problem}`);
  });
  if (problems.length === 0) return entry;
  throw createError(
    'FACELLM_DATA_INVALID',
    `${path}: dataset ${chosen} has ${problems.length} problem(s); correct the entry`,
    { details: problems },
  );
}

/** The file that an entry leads to. */
async function readRecords(path: string): Promise<Pick<DataSource, 'records' | 'sha256'>> {
  const file = await readDataFile(path);
  if (file.kind === 'records') return file;
  throw createError(
    'FACELLM_DATA_INVALID',
    `${path}: expected an array of records or one record a line, received an object of objects`,
  );
}

/**
 * Opens a data file, a dataset_info.json (under any name) or a folder that contains one.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT if `name` is needed or has no meaning
 * @throws DataError FACELLM_DATA_NOT_FOUND, FACELLM_DATA_INVALID
 */
export async function openSource(given: string, name: string | undefined): Promise<DataSource> {
  const path = (await isFolder(given)) ? join(resolve(given), INFO_NAME) : resolve(given);
  const first = await readDataFile(path);
  if (first.kind === 'info') {
    const entry = entryOf(first.info, path, name);
    return { ...entry, ...(await readRecords(entry.file)) };
  }
  if (basename(path) === INFO_NAME) {
    throw createError(
      'FACELLM_DATA_INVALID',
      `${path}: expected an object that maps names of datasets to objects`,
    );
  }
  if (name !== undefined) {
    throw createError(
      'FACELLM_INVALID_ARGUMENT',
      `name: ${path} is a data file without named datasets; leave name out or give a ${INFO_NAME}`,
    );
  }
  const { records, sha256 } = first;
  const bare = { layout: BARE_LAYOUT, imageRoot: undefined, numSamples: undefined };
  return { file: path, records, sha256, ...bare };
}
