/** Reads the small JSON files of a checkpoint folder, with errors that name the file. */
import { basename } from 'node:path';

import { createError, FaceLlmError } from '../errors.js';
import {
  isJsonObject,
  jsonFault,
  type JsonObject,
  parseJson,
  readOptionalText,
} from '../files/index.js';

/** The object without these keys. */
export function omit(value: JsonObject, keys: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(value).filter(([key]) => !keys.includes(key)));
}

/**
 * Parses a file that must hold one JSON object; undefined if there is no such file.
 * Throws FACELLM_CHECKPOINT_NOT_FOUND if it cannot be read, FACELLM_CONFIG_INVALID if it is not JSON.
 */
export async function readOptionalJson(path: string): Promise<JsonObject | undefined> {
  const text = await readOptionalText(path, {
    unreadable: 'FACELLM_CHECKPOINT_NOT_FOUND',
    invalid: 'FACELLM_CONFIG_INVALID',
  });
  if (text === undefined) return undefined;
  const json = parseJson(text);
  if (!json.isValid) {
    const fault = jsonFault(text, json.reason);
    throw createError('FACELLM_CONFIG_INVALID', `${path} ${fault}; fetch the checkpoint again`, {
      details: [`${basename(path)}: ${fault}`],
    });
  }
  if (!isJsonObject(json.value)) {
    throw createError('FACELLM_CONFIG_INVALID', `${path} must hold one JSON object`, {
      details: [`${basename(path)}: expected an object`],
    });
  }
  return json.value;
}

/**
 * Like {@link readOptionalJson}, for a file whose faults join a list: null if it is there but is not
 * JSON or cannot be read, after adding that to `problems`.
 */
export async function readListedJson(
  path: string,
  problems: string[],
): Promise<JsonObject | undefined | null> {
  try {
    return await readOptionalJson(path);
  } catch (error) {
    if (!(error instanceof FaceLlmError)) throw error;
    const own = error.details.filter((detail) => detail.startsWith(`${basename(path)}:`));
    problems.push(...(own.length > 0 ? own : [error.summary]));
    return null;
  }
}

/** Like {@link readOptionalJson}, but the file must exist. */
export async function readRequiredJson(path: string, purpose: string): Promise<JsonObject> {
  const value = await readOptionalJson(path);
  if (value !== undefined) return value;
  throw createError('FACELLM_CHECKPOINT_NOT_FOUND', `there is no ${path}, ${purpose}`);
}
