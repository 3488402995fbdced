/**
 * What generation_config.json says of how answers are drawn and where they end: the defaults of transformers'
 * `generate` (5.18: generation/utils.py, _prepare_generation_config and _get_logits_processor), and what of it would
 * change answers and is not computed here.
 */
import type { z } from 'zod';

import { isJsonObject, type JsonObject } from '../files/index.js';
import { boolean, checked, integer, numberAbove, optional } from './schema.js';

/** Defaults that a request overrules. Absent: the file does not say. */
export interface GenerationFileOptions {
  readonly doSample?: boolean;
  /** These four matter to drawn answers only, and are not checked before one is asked for. */
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  readonly maxNewTokens?: number;
  readonly minTokens?: number;
  /** Prompt and answer together. */
  readonly maxLength?: number;
  readonly stop?: readonly string[];
}

const anyNumber = checked<number>('a number', (v) => typeof v === 'number' && Number.isFinite(v));
const count = integer(1, 2 ** 31 - 1);
const isText = (v: unknown): boolean => typeof v === 'string' && v !== '';
const texts = checked<string | readonly string[]>('a text or a list of texts', (v) =>
  Array.isArray(v) ? v.every(isText) : isText(v),
);

/** The keys that are followed. */
interface FollowedKeys {
  readonly do_sample: boolean | undefined;
  readonly temperature: number | undefined;
  readonly top_k: number | undefined;
  readonly top_p: number | undefined;
  readonly min_p: number | undefined;
  readonly repetition_penalty: number | undefined;
  readonly max_new_tokens: number | undefined;
  readonly min_new_tokens: number | undefined;
  readonly max_length: number | undefined;
  readonly stop_strings: string | readonly string[] | undefined;
}

export const followedShape: { readonly [K in keyof FollowedKeys]: z.ZodType<FollowedKeys[K]> } = {
  do_sample: optional(boolean),
  temperature: optional(anyNumber),
  top_k: optional(anyNumber),
  top_p: optional(anyNumber),
  min_p: optional(anyNumber),
  repetition_penalty: optional(numberAbove(0)),
  max_new_tokens: optional(count),
  min_new_tokens: optional(integer(0, 2 ** 31 - 1)),
  max_length: optional(count),
  stop_strings: optional(texts),
};

export function toFileOptions(file: FollowedKeys): GenerationFileOptions {
  const options = {
    doSample: file.do_sample,
    temperature: file.temperature,
    topK: file.top_k,
    topP: file.top_p,
    minP: file.min_p,
    repetitionPenalty: file.repetition_penalty,
    maxNewTokens: file.max_new_tokens,
    minTokens: file.min_new_tokens,
    maxLength: file.max_length,
    stop: file.stop_strings === undefined ? undefined : [file.stop_strings].flat(),
  };
  const stated = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(stated);
}

const above = (least: number) => (v: unknown) => typeof v === 'number' && v > least;
const otherThan = (neutral: number) => (v: unknown) => typeof v === 'number' && v !== neutral;
const isStated = (v: unknown): boolean =>
  v !== false && !(Array.isArray(v) && v.length === 0) && !(isJsonObject(v) && !Object.keys(v)[0]);

/** Keys that change what `generate` answers and have no counterpart here, and when they do. */
const NOT_COMPUTED: Readonly<Record<string, (value: unknown) => boolean>> = {
  num_beams: otherThan(1),
  num_beam_groups: otherThan(1),
  num_return_sequences: otherThan(1),
  no_repeat_ngram_size: above(0),
  encoder_no_repeat_ngram_size: above(0),
  encoder_repetition_penalty: otherThan(1),
  min_length: above(0),
  penalty_alpha: above(0),
  guidance_scale: otherThan(1),
  cache_implementation: (value) => value === 'quantized',
  ...Object.fromEntries(
    [
      ...['bad_words_ids', 'suppress_tokens', 'begin_suppress_tokens', 'sequence_bias'],
      ...['forced_eos_token_id', 'exponential_decay_length_penalty', 'watermarking_config'],
      ...['max_time', 'token_healing', 'constraints', 'force_words_ids', 'dola_layers'],
    ].map((key) => [key, isStated]),
  ),
};

/** The same of drawn answers only. */
const NOT_DRAWN: Readonly<Record<string, (value: unknown) => boolean>> = {
  typical_p: (value) => typeof value === 'number' && value < 1,
  epsilon_cutoff: above(0),
  eta_cutoff: above(0),
  top_h: isStated,
};

/** "num_beams: 4" for each key that would change answers and is not followed. */
export function notFollowed(raw: JsonObject): string[] {
  const rules = raw['do_sample'] === true ? { ...NOT_COMPUTED, ...NOT_DRAWN } : NOT_COMPUTED;
  return Object.entries(rules).flatMap(([key, changes]) => {
    const value = raw[key];
    return value === undefined || value === null || !changes(value) ? [] : [line(key, value)];
  });
}

const FOLLOWED = Object.keys(followedShape);

/** Those that InternVL's own code never sees: it gives its language model what its caller gives it. */
export function unreadByOriginal(raw: JsonObject): string[] {
  const own = FOLLOWED.filter((key) => raw[key] !== undefined && raw[key] !== null);
  return [...own.map((key) => line(key, raw[key])), ...notFollowed(raw)];
}

/** The file without what it says of drawing and lengths. */
export function tokenIdsOnly(raw: JsonObject): JsonObject {
  const dropped = [...FOLLOWED, ...Object.keys(NOT_COMPUTED), ...Object.keys(NOT_DRAWN)];
  return Object.fromEntries(Object.entries(raw).filter(([key]) => !dropped.includes(key)));
}

function line(key: string, value: unknown): string {
  const text = JSON.stringify(value);
  return `${key}: ${text.length > 60 ? `${text.slice(0, 60)}…` : text}`;
}
