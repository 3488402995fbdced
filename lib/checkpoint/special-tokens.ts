/**
 * Looks up one added token in a checkpoint's tokenizer files, lightest file first. Only for the few
 * ids that a config needs; the tokenizer itself is lib/tokenizer.
 */
import { join } from 'node:path';

import { isJsonObject, readListedJson } from './json-file.js';

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

async function inAddedTokens(
  directory: string,
  token: string,
  problems: string[],
): Promise<number | undefined> {
  const file = await readListedJson(join(directory, 'added_tokens.json'), problems);
  return typeof file?.[token] === 'number' ? toId(file[token]) : undefined;
}

async function inTokenizerConfig(
  directory: string,
  token: string,
  problems: string[],
): Promise<number | undefined> {
  const file = await readListedJson(join(directory, 'tokenizer_config.json'), problems);
  const decoder = file?.['added_tokens_decoder'];
  return isJsonObject(decoder) ? findRecord(Object.entries(decoder), token) : undefined;
}

async function inTokenizer(
  directory: string,
  token: string,
  problems: string[],
): Promise<number | undefined> {
  const file = await readListedJson(join(directory, 'tokenizer.json'), problems);
  const added = file?.['added_tokens'];
  return Array.isArray(added) ? findRecord((added as unknown[]).entries(), token) : undefined;
}

async function inVocabulary(
  directory: string,
  token: string,
  problems: string[],
): Promise<number | undefined> {
  const file = await readListedJson(join(directory, 'vocab.json'), problems);
  return typeof file?.[token] === 'number' ? toId(file[token]) : undefined;
}

/**
 * The id of an added token, or undefined if no tokenizer file of the folder has it.
 * A file on the way that is not JSON is added to `problems`.
 */
export async function findTokenId(
  directory: string,
  token: string,
  problems: string[],
): Promise<number | undefined> {
  for (const find of [inAddedTokens, inTokenizerConfig, inTokenizer, inVocabulary]) {
    const id = await find(directory, token, problems);
    if (id !== undefined) return id;
  }
  return undefined;
}
