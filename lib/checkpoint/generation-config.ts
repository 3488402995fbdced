/**
 * generation_config.json: the ids at which generation stops (docs/internvl3.md, sections 2.3 and 9.1), and the defaults
 * of a request. Absent keys fall back to the text config; the original layout stops at `<|im_end|>` whatever its files
 * say, as its chat code does, which does not read the rest either.
 */
import { join } from 'node:path';

import { z } from 'zod';

import {
  followedShape,
  type GenerationFileOptions,
  notFollowed,
  toFileOptions,
  unreadByOriginal,
} from './generation-options.js';
import { readListedJson } from './json-file.js';
import type { ParsedConfig } from './parsed-config.js';
import { integer, optional, parseObject, type Problems, tokenId } from './schema.js';
import { eosSchema } from './text-config.js';

export interface GenerationDefaults {
  /** Generation stops at any of these, in file order. */
  readonly eosTokenIds: readonly number[];
  readonly bosTokenId?: number;
  readonly padTokenId?: number;
  /** How answers are drawn and end where a request does not say. */
  readonly options: GenerationFileOptions;
  /** What the file says besides, would change answers, and is not followed: "num_beams: 4". */
  readonly notFollowed: readonly string[];
}

const schema = z.object({
  ...followedShape,
  bos_token_id: optional(tokenId),
  eos_token_id: eosSchema,
  pad_token_id: optional(integer(-1, 2 ** 31 - 1)),
});

/**
 * Reads the file if there is one. `config` is undefined where config.json could not be read;
 * `chatEosId`, the id of `<|im_end|>`, is given for the original layout only.
 */
export async function readGenerationConfig(
  directory: string,
  config: ParsedConfig | undefined,
  chatEosId: number | undefined,
  problems: Problems,
): Promise<GenerationDefaults | undefined> {
  const name = 'generation_config.json';
  const raw = await readListedJson(join(directory, name), problems);
  if (raw === null) return undefined;
  const file = parseObject(schema, raw ?? {}, name, problems);
  if (file === undefined || config === undefined) return undefined;

  const isOriginal = chatEosId !== undefined;
  const eosTokenIds = isOriginal ? [chatEosId] : (file.eos_token_id ?? config.eosTokenIds);
  if (eosTokenIds === undefined) {
    problems.push(`${name}: eos_token_id: is missing, here and in config.json`);
    return undefined;
  }
  const outside = eosTokenIds.filter((id) => id >= config.text.vocabSize);
  if (outside.length > 0) {
    problems.push(
      `${name}: eos_token_id: ${outside.join(', ')} not below vocab_size ${config.text.vocabSize}`,
    );
  }
  const bosTokenId = file.bos_token_id ?? config.bosTokenId;
  const statedPad = file.pad_token_id ?? config.padTokenId;
  const padTokenId = statedPad !== undefined && statedPad >= 0 ? statedPad : undefined;
  return {
    eosTokenIds,
    ...(bosTokenId === undefined ? {} : { bosTokenId }),
    ...(padTokenId === undefined ? {} : { padTokenId }),
    options: isOriginal ? {} : toFileOptions(file),
    notFollowed: isOriginal ? unreadByOriginal(raw ?? {}) : notFollowed(raw ?? {}),
  };
}
