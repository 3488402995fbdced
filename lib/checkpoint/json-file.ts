/** Reads the small JSON files of a checkpoint folder, with errors that name the file. */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';

import { createError, FaceLlmError } from '../errors.js';

/** Any parsed JSON object; its values are checked by the schemas of this room. */
export type JsonObject = Readonly<Record<string, unknown>>;

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The object without these keys. */
export function omit(value: JsonObject, keys: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(value).filter(([key]) => !keys.includes(key)));
}

/** The `code` of a failed system call such as ENOENT. */
export function systemCode(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : 'unknown';
}

/**
 * Parses a file that must hold one JSON object; undefined if there is no such file.
 * Throws FACELLM_CHECKPOINT_NOT_FOUND if it cannot be read, FACELLM_CONFIG_INVALID if it is not JSON.
 */
export async function readOptionalJson(path: string): Promise<JsonObject | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if (systemCode(cause) === 'ENOENT') return undefined;
    throw createError(
      'FACELLM_CHECKPOINT_NOT_FOUND',
      `${path} cannot be read (${systemCode(cause)}); check its kind and permissions`,
      { cause },
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw createError(
      'FACELLM_CONFIG_INVALID',
      `${path} is not valid JSON; fetch the checkpoint again`,
      { details: [`${basename(path)}: ${reason}`], cause },
    );
  }
  if (!isJsonObject(value)) {
    throw createError('FACELLM_CONFIG_INVALID', `${path} must hold one JSON object`, {
      details: [`${basename(path)}: expected an object`],
    });
  }
  return value;
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
    problems.push(...(error.details.length > 0 ? error.details : [error.message]));
    return null;
  }
}

/** Like {@link readOptionalJson}, but the file must exist. */
export async function readRequiredJson(path: string, purpose: string): Promise<JsonObject> {
  const value = await readOptionalJson(path);
  if (value !== undefined) return value;
  throw createError('FACELLM_CHECKPOINT_NOT_FOUND', `there is no ${path}, ${purpose}`);
}
