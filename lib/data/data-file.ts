/**
 * The bytes of a data file to records that are not checked yet. The kind is told by content: a JSON
 * array of records, JSONL with one record a line, or the one object of a dataset_info.json. A line
 * that is not JSON is a faulty record, so that all such lines are listed or skipped like others.
 */
import { basename } from 'node:path';

import { createError } from '../errors.js';
import {
  isJsonObject,
  jsonFault,
  type JsonObject,
  parseJson,
  readDataText,
} from '../files/index.js';
import { INFO_NAME, LOCATION_KEYS } from './dataset-info.js';
import { received } from '../options/describe.js';

/** One record as parsed, or why there is none. */
export interface RawRecord {
  readonly value: unknown;
  /** Set if the line is not JSON. */
  readonly problem: string | undefined;
  /** Counted from 1; undefined in a JSON array. */
  readonly line: number | undefined;
}

export type DataFile =
  | { readonly kind: 'records'; readonly records: readonly RawRecord[]; readonly sha256: string }
  | { readonly kind: 'info'; readonly info: JsonObject };

function parseLines(text: string): RawRecord[] {
  return text.split('\n').flatMap((content, i): RawRecord[] => {
    // JSON.parse takes the carriage return of a CRLF file as blank space.
    if (content.trim() === '') return [];
    const line = i + 1;
    const parsed = parseJson(content);
    return parsed.isValid
      ? [{ value: parsed.value, problem: undefined, line }]
      : [{ value: undefined, problem: `is not JSON: ${parsed.reason}`, line }];
  });
}

/** A dataset_info.json maps names to objects that say where data lie; its usual name will do too. */
function isDatasetInfo(value: JsonObject, path: string): boolean {
  const entries = Object.values(value);
  if (entries.length === 0 || !entries.every(isJsonObject)) return false;
  const locates = (entry: JsonObject): boolean =>
    Object.keys(entry).some((key) => LOCATION_KEYS.includes(key));
  return basename(path) === INFO_NAME || entries.some(locates);
}

function isJsonLines(text: string, path: string): boolean {
  if (/\.(?:jsonl|ndjson)$/i.test(path)) return true;
  const first = text.trimStart().split('\n', 1)[0] ?? '';
  return first.startsWith('{') && parseJson(first).isValid;
}

/**
 * Reads a data file whole.
 *
 * @throws DataError FACELLM_DATA_NOT_FOUND if it cannot be read, FACELLM_DATA_INVALID if it is not
 * UTF-8, JSON or JSONL, with line and column
 */
export async function readDataFile(path: string): Promise<DataFile> {
  const { text, sha256 } = await readDataText(path, (code) =>
    code === 'ENOENT' || code === 'ENOTDIR'
      ? `there is no data file ${path}; check the path`
      : `${path} cannot be read (${code}); expected a JSON or JSONL file`,
  );
  const records = (list: readonly RawRecord[]): DataFile => ({
    ...{ kind: 'records', records: list, sha256 },
  });
  if (text.trim() === '') return records([]);
  const parsed = parseJson(text);
  if (!parsed.isValid) {
    if (isJsonLines(text, path)) return records(parseLines(text));
    throw createError('FACELLM_DATA_INVALID', `${path} ${jsonFault(text, parsed.reason)}`);
  }
  const { value } = parsed;
  if (Array.isArray(value)) {
    const list = value as readonly unknown[];
    return records(list.map((item) => ({ value: item, problem: undefined, line: undefined })));
  }
  if (isJsonObject(value)) {
    if (isDatasetInfo(value, path)) return { kind: 'info', info: value };
    // JSONL of a single record.
    return records([{ value, problem: undefined, line: undefined }]);
  }
  throw createError(
    'FACELLM_DATA_INVALID',
    `${path}: expected an array of records, one record a line, or a dataset_info.json; ${received(value)}`,
  );
}
