/**
 * Looks up one added token in a checkpoint's tokenizer files, lightest file first. Only for the few
 * ids that a config needs; the tokenizer itself is lib/tokenizer.
 */
import { join } from 'node:path';

import { isJsonObject, type JsonObject } from '../files/index.js';
import { readListedJson } from './json-file.js';

function toId(value: unknown): number | undefined {
  const id = Number(value);
  return value !== '' && Number.isSafeInteger(id) && id >= 0 ? id : undefined;
}

/** From a list of `{id, content}` records, ids given as keys or inside. */
function findRecord(
  records: Iterable<readonly [unknown, unknown]>,
  token: string,
): number | undefined {
  for (const [key, record] of records) {
    if (isJsonObject(record) && record['content'] === token) return toId(record['id'] ?? key);
  }
  return undefined;
}

type Finder = (file: JsonObject, token: string) => number | undefined;

const inMap: Finder = (file, token) =>
  typeof file[token] === 'number' ? toId(file[token]) : undefined;

const inTokenizerConfig: Finder = (file, token) => {
  const decoder = file['added_tokens_decoder'];
  return isJsonObject(decoder) ? findRecord(Object.entries(decoder), token) : undefined;
};

const inTokenizer: Finder = (file, token) => {
  const added = file['added_tokens'];
  return Array.isArray(added) ? findRecord((added as unknown[]).entries(), token) : undefined;
};

const sources: readonly (readonly [string, Finder])[] = [
  ['added_tokens.json', inMap],
  ['tokenizer_config.json', inTokenizerConfig],
  ['tokenizer.json', inTokenizer],
  ['vocab.json', inMap],
];

/**
 * The id of an added token, or undefined if no tokenizer file of the folder has it. A file on the
 * way that is not JSON is added to `problems`.
 */
export async function findTokenId(
  directory: string,
  token: string,
  problems: string[],
): Promise<number | undefined> {
  for (const [name, find] of sources) {
    const file = await readListedJson(join(directory, name), problems);
    const id = file ? find(file, token) : undefined;
    if (id !== undefined) return id;
  }
  return undefined;
}
