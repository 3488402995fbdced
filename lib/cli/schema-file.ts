/** `--schema FILE`: a JSON schema, or a program of the user's whose default export is a zod type or a JSON schema. */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import { createError, InvalidArgumentError } from '../errors.js';
import { isJsonObject, jsonFault, parseJson, readDataText } from '../files/index.js';
import type { ExtractSchema } from '../model/index.js';

const PROGRAM = /\.[cm]?[jt]s$/;

/** Runs the file: it is named as a program is, and is the user's own. */
async function importSchema(path: string): Promise<ExtractSchema> {
  let own: { readonly default?: unknown };
  try {
    own = (await import(pathToFileURL(resolve(path)).href)) as typeof own;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== 'ERR_UNKNOWN_FILE_EXTENSION') {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw createError('FACELLM_DATA_INVALID', `${path} cannot be imported: ${why}`, { cause });
    }
    throw new InvalidArgumentError(
      'FACELLM_INVALID_ARGUMENT',
      `${path}: this Node (${process.version}) reads no TypeScript; take Node 22.18 or later, or say NODE_OPTIONS=--import=tsx with tsx installed, or give a JSON schema`,
      { cause },
    );
  }
  const schema = own.default;
  if (typeof schema !== 'object' || schema === null) {
    throw createError(
      'FACELLM_DATA_INVALID',
      `${path} is no schema: expected \`export default\` of a zod type or a JSON schema`,
    );
  }
  return schema as ExtractSchema;
}

/** @throws DataError FACELLM_DATA_INVALID, FACELLM_DATA_NOT_FOUND; InvalidArgumentError for TypeScript that Node cannot read */
export async function loadSchema(path: string): Promise<ExtractSchema> {
  if (PROGRAM.test(path)) return importSchema(path);
  const { text } = await readDataText(path, (code) => `${path} cannot be read (${code})`);
  const parsed = parseJson(text);
  if (!parsed.isValid) {
    throw createError('FACELLM_DATA_INVALID', `${path} ${jsonFault(text, parsed.reason)}`);
  }
  if (isJsonObject(parsed.value)) return parsed.value;
  throw createError('FACELLM_DATA_INVALID', `${path} is no JSON schema: expected an object`);
}

/** What it says of itself: `.describe()` of a zod type, `description` of a JSON schema. */
export function descriptionOf(schema: ExtractSchema): string | undefined {
  const { description } = schema as { readonly description?: unknown };
  return typeof description === 'string' && description.trim() !== '' ? description : undefined;
}
