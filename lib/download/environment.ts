/** Which hub is asked and as whom: the variables and the token file that huggingface_hub reads. */
import { join, resolve } from 'node:path';

import { hubHome } from '../checkpoint/index.js';
import { createError } from '../errors.js';
import { readOptionalText } from '../files/index.js';

const DEFAULT_ENDPOINT = 'https://huggingface.co';

export interface Token {
  readonly value: string;
  /** Where it came from, for messages. */
  readonly source: string;
}

/** `HF_ENDPOINT`, without a slash at its end. */
export function hubEndpoint(env: NodeJS.ProcessEnv): string {
  const text = (env['HF_ENDPOINT'] || DEFAULT_ENDPOINT).replace(/\/+$/, '');
  return checkAddress(text, 'HF_ENDPOINT');
}

/** @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT */
export function checkAddress(text: string, name: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol) && url.username === '') return text;
  throw createError(
    'FACELLM_INVALID_ARGUMENT',
    `${name} must be an address such as ${DEFAULT_ENDPOINT}, received ${JSON.stringify(text)}`,
  );
}

/**
 * The token of the hub: as given, else `HF_TOKEN`, else the token file that `hf auth login` writes. None where
 * `HF_HUB_DISABLE_IMPLICIT_TOKEN` is set and none is given.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT for a token that cannot stand in a header; its text is not told
 */
export async function findToken(
  given: string | undefined,
  env: NodeJS.ProcessEnv,
): Promise<Token | undefined> {
  if (given !== undefined) return checkToken(given, 'the option token');
  if (/^(1|on|yes|true)$/i.test(env['HF_HUB_DISABLE_IMPLICIT_TOKEN'] ?? '')) return undefined;
  for (const source of ['HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN']) {
    const value = env[source]?.trim();
    if (value) return checkToken(value, source);
  }
  const path = env['HF_TOKEN_PATH']
    ? resolve(env['HF_TOKEN_PATH'])
    : join(hubHome(env).path, 'token');
  const codes = {
    unreadable: 'FACELLM_INVALID_ARGUMENT',
    invalid: 'FACELLM_INVALID_ARGUMENT',
  } as const;
  const value = (await readOptionalText(path, codes))?.trim();
  return value ? checkToken(value, path) : undefined;
}

function checkToken(value: string, source: string): Token {
  if (/^[\x21-\x7e]+$/.test(value)) return { value, source };
  throw createError(
    'FACELLM_INVALID_ARGUMENT',
    `the token from ${source} holds characters that no token has; make one on the hub's page of access tokens`,
  );
}
