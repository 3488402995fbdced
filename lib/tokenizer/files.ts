/**
 * Reads a checkpoint's tokenizer in either file form (docs/internvl3.md, section 8): tokenizer.json,
 * or vocab.json + merges.txt with the added tokens of tokenizer_config.json or added_tokens.json.
 */
import { join } from 'node:path';

import { z } from 'zod';

import { createError } from '../errors.js';
import { jsonFault, parseJson, readOptionalText, universalNewlines } from '../files/index.js';
import { PLAIN_ADDED } from './internvl-tokens.js';
import { foreignParts } from './qwen2-json.js';

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Dropped by `skipSpecialTokens`. */
  readonly special: boolean;
}

export interface TokenizerFiles {
  readonly vocab: Readonly<Record<string, number>>;
  /** Pairs, or "a b" with one space: as the file has them. */
  readonly merges: readonly (string | readonly [string, string])[];
  readonly addedTokens: readonly AddedToken[];
}

function isVocab(value: unknown): value is Readonly<Record<string, number>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  for (const id of Object.values(value as Record<string, unknown>)) {
    if (!Number.isSafeInteger(id) || (id as number) < 0 || (id as number) > LARGEST_ID)
      return false;
  }
  return true;
}

function isMerges(value: unknown): value is TokenizerFiles['merges'] {
  return Array.isArray(value) && value.every(isMerge);
}

function isMerge(merge: unknown): boolean {
  if (typeof merge === 'string') return /^\S+ \S+$/u.test(merge);
  return (
    Array.isArray(merge) && merge.length === 2 && merge.every((part) => typeof part === 'string')
  );
}

/** Ids index arrays: a damaged file must not make one of a billion places. */
const LARGEST_ID = 2 ** 24;
const id = z.number().int().nonnegative().max(LARGEST_ID);
const flags = {
  content: z.string().min(1),
  special: z.boolean().default(false),
  // Tokens that swallow neighbouring space or match whole words only are in no InternVL3 checkpoint.
  lstrip: z.literal(false).default(false),
  rstrip: z.literal(false).default(false),
  single_word: z.literal(false).default(false),
};
const tokenizerJson = z.looseObject({
  added_tokens: z.array(z.object({ id, ...flags })).default([]),
  // Vocabulary and merges have 150,000 entries: checked by plain loops below, which make no copies.
  model: z.looseObject({
    type: z.literal('BPE').optional(),
    vocab: z.custom<Readonly<Record<string, number>>>(isVocab),
    merges: z.custom<TokenizerFiles['merges']>(isMerges),
  }),
});
const tokenizerConfig = z.object({
  // A space before every text would be another text.
  add_prefix_space: z.literal(false).nullish(),
  added_tokens_decoder: z.record(z.string().regex(/^\d+$/), z.object(flags)).optional(),
});
const idByToken = z.custom<Readonly<Record<string, number>>>(isVocab, 'expected ids by token');

function readText(directory: string, name: string): Promise<string | undefined> {
  const code = 'FACELLM_TOKENIZER_INVALID';
  return readOptionalText(join(directory, name), { unreadable: code, invalid: code });
}

function parse<T>(schema: z.ZodType<T>, text: string, directory: string, name: string): T {
  const json = parseJson(text);
  if (!json.isValid) {
    throw createError(
      'FACELLM_TOKENIZER_INVALID',
      `${join(directory, name)} ${jsonFault(text, json.reason)}; fetch the checkpoint again`,
    );
  }
  const result = schema.safeParse(json.value);
  if (result.success) return result.data;
  const details = result.error.issues
    .slice(0, 100)
    .map((issue) => `${name}: ${issue.path.join('.')}: ${issue.message}`);
  throw notQwen2(join(directory, name), details);
}

function notQwen2(path: string, details: readonly string[]): Error {
  return createError(
    'FACELLM_TOKENIZER_INVALID',
    `${path} does not describe a Qwen2 byte-level BPE tokenizer, first: ${details[0]}; use the tokenizer files of ` +
      'an InternVL3 checkpoint',
    { details },
  );
}

async function fromTokenizerJson(directory: string, text: string): Promise<TokenizerFiles> {
  const file = parse(tokenizerJson, text, directory, 'tokenizer.json');
  const own = file.added_tokens.map(({ id, content, special }) => ({ id, content, special }));
  // transformers adds those that the configuration alone lists.
  const known = new Set(own.map(({ content }) => content));
  const others = (await readConfiguredTokens(directory)) ?? [];
  const addedTokens = [...own, ...others.filter(({ content }) => !known.has(content))];
  const details = [...foreignParts(file), ...addedTokenProblems(addedTokens)];
  if (details.length > 0) throw notQwen2(join(directory, 'tokenizer.json'), details);
  return { vocab: file.model.vocab, merges: file.model.merges, addedTokens };
}

function addedTokenProblems(tokens: readonly AddedToken[]): string[] {
  const byId = new Map<number, string>();
  return tokens.flatMap(({ id, content }) => {
    const before = byId.get(id);
    byId.set(id, content);
    return before === undefined ? [] : [`added tokens: id ${id} is both ${before} and ${content}`];
  });
}

/** tokenizer_config.json's added_tokens_decoder; undefined where there is none. */
async function readConfiguredTokens(directory: string): Promise<readonly AddedToken[] | undefined> {
  const name = 'tokenizer_config.json';
  const config = await readText(directory, name);
  if (config === undefined) return undefined;
  const { added_tokens_decoder: decoder } = parse(tokenizerConfig, config, directory, name);
  return (
    decoder &&
    Object.entries(decoder).map(([key, { content, special }]) => ({
      id: Number(key),
      content,
      special,
    }))
  );
}

async function readAddedTokens(directory: string): Promise<readonly AddedToken[]> {
  const configured = await readConfiguredTokens(directory);
  if (configured !== undefined) return configured;
  const added = await readText(directory, 'added_tokens.json');
  if (added === undefined) return [];
  const ids = parse(idByToken, added, directory, 'added_tokens.json');
  return Object.entries(ids).map(([content, id]) => ({
    id,
    content,
    // This file does not say; Qwen2's plain ones are known.
    special: !PLAIN_ADDED.test(content),
  }));
}

/** @throws CheckpointError FACELLM_TOKENIZER_INVALID */
export async function readTokenizerFiles(directory: string): Promise<TokenizerFiles> {
  const whole = await readText(directory, 'tokenizer.json');
  if (whole !== undefined) return fromTokenizerJson(directory, whole);
  const vocab = await readText(directory, 'vocab.json');
  const merges = await readText(directory, 'merges.txt');
  if (vocab === undefined || merges === undefined) {
    throw createError(
      'FACELLM_TOKENIZER_INVALID',
      `${directory} holds no tokenizer: expected tokenizer.json, or vocab.json and merges.txt; ` +
        'fetch the whole checkpoint',
      {
        details: ['tokenizer.json', 'vocab.json', 'merges.txt'].map((name) => `looked for ${name}`),
      },
    );
  }
  // Some published merges.txt have CRLF line ends; the first line may be a version comment.
  const lines = universalNewlines(merges)
    .split('\n')
    .filter((line, i) => line !== '' && !(i === 0 && line.startsWith('#version')));
  const wrong = lines.find((line) => !isMerge(line));
  if (wrong !== undefined) {
    throw createError(
      'FACELLM_TOKENIZER_INVALID',
      `${join(directory, 'merges.txt')}: "${wrong.slice(0, 80)}" is not a merge of two parts`,
    );
  }
  return {
    vocab: parse(idByToken, vocab, directory, 'vocab.json'),
    merges: lines,
    addedTokens: await readAddedTokens(directory),
  };
}
