/** `POST /v1/chat/completions`: the body to what the library is asked, field by field (docs/serving.md). */
import { randomInt } from 'node:crypto';

import type { GenerationOptions } from '../generation/index.js';
import {
  checkPictureCount,
  type Detail,
  MessageReader,
  PictureReader,
  type TakenTurn,
} from './message-fields.js';
import type { Policy } from './options.js';
import type { ParsedBody } from './parse-body.js';
import type { PictureField } from './picture-intake.js';
import {
  IGNORED_FIELDS,
  PROMPT_FIELDS,
  type PromptFields,
  readPromptFields,
} from './prompt-fields.js';
import { type AskedForm, readForm } from './form-fields.js';
import { Fields, isObject, isOff, Problems } from './values.js';

export interface StreamOptions {
  readonly includeUsage: boolean;
  readonly continuousUsage: boolean;
}

export interface ChatRequest extends PromptFields {
  readonly turns: readonly TakenTurn[];
  readonly pictures: readonly PictureField[];
  readonly detail: Detail | undefined;
  readonly generation: Omit<GenerationOptions, 'signal'>;
  readonly maxTokens: number;
  readonly answers: number;
  readonly seed: number;
  /** Undefined: not streamed. */
  readonly stream: StreamOptions | undefined;
  readonly logprobs: boolean;
  /** Undefined: any text. */
  readonly form: AskedForm | undefined;
  /** Fields that were not known and not refused. */
  readonly ignored: readonly string[];
}

/** Would change the answer: refused unless they say "off". */
const NOT_DONE = [
  'tools',
  'tool_choice',
  'functions',
  'function_call',
  'audio',
  'prediction',
  'web_search_options',
  'moderation',
  'reasoning_effort',
  'verbosity',
  'store',
  'ignore_eos',
  'continue_final_message',
] as const;

const OWN = [
  'messages',
  'max_completion_tokens',
  'max_tokens',
  'temperature',
  'top_p',
  'top_k',
  'min_p',
  'repetition_penalty',
  'frequency_penalty',
  'presence_penalty',
  'logit_bias',
  'min_tokens',
  'seed',
  'n',
  'stop',
  'stream',
  'stream_options',
  'logprobs',
  'top_logprobs',
  'logprobs_mode',
  'response_format',
  'structured_outputs',
  'probabilities',
  'modalities',
] as const;

const KNOWN: readonly string[] = [...OWN, ...NOT_DONE, ...PROMPT_FIELDS, ...IGNORED_FIELDS];

/** JSON carries no larger whole number exactly. */
const MOST_SEED = 2 ** 53 - 1;
const MOST_BIASES = 300;

/** @throws ApiError naming all that is wrong */
export function readChatRequest(
  { body, pictures: parsed }: ParsedBody,
  policy: Policy,
): ChatRequest {
  const problems = new Problems();
  const fields = new Fields(body, problems);
  const ignored = policy.ignoresUnknown ? fields.others(KNOWN) : [];
  if (!policy.ignoresUnknown) fields.refuseOthers(KNOWN);
  for (const name of NOT_DONE) if (!isOff(fields.raw(name))) problems.unsupported(name);
  refuseModalities(fields);
  const pictureReader = new PictureReader(parsed, problems);
  const turns = new MessageReader(pictureReader, problems).read(fields.raw('messages'), 'messages');
  const detail = pictureReader.detail();
  checkPictureCount(pictureReader.pictures, policy, problems);
  const request: ChatRequest = {
    ...readPromptFields(fields, policy),
    turns,
    pictures: pictureReader.pictures,
    detail,
    ...readGeneration(fields, policy),
    stream: readStream(fields),
    logprobs: isLogProbs(fields),
    form: readForm(fields),
    ignored,
  };
  problems.throwIfAny();
  return request;
}

/** Answers that are other than text. */
function refuseModalities(fields: Fields): void {
  const { problems } = fields;
  const modalities = fields.raw('modalities');
  if (modalities !== undefined && JSON.stringify(modalities) !== '["text"]') {
    problems.unsupported('modalities', 'other than ["text"] are not supported');
  }
}

const isLogProbs = (fields: Fields): boolean => fields.flag('logprobs') ?? false;

/** Ids, as text since JSON has no other keys, and what is added to their scores. */
function readBias(fields: Fields): Readonly<Record<string, number>> | undefined {
  const given = fields.raw('logit_bias');
  if (given === undefined) return undefined;
  const isBias = (value: unknown): boolean =>
    typeof value === 'number' && value >= -100 && value <= 100;
  if (
    isObject(given) &&
    Object.keys(given).length <= MOST_BIASES &&
    Object.entries(given).every(([id, value]) => /^\d{1,9}$/.test(id) && isBias(value))
  ) {
    return given as Readonly<Record<string, number>>;
  }
  fields.problems.wrong('logit_bias', `up to ${MOST_BIASES} token ids with numbers of -100..100`);
  return undefined;
}

/** What is told of each token's place. */
function readListed(fields: Fields): Pick<GenerationOptions, 'topLogProbs' | 'logProbs'> {
  const topLogProbs = fields.whole('top_logprobs', 0, 20) ?? 0;
  if (topLogProbs > 0 && !isLogProbs(fields)) {
    fields.problems.wrong('top_logprobs', 'logprobs: true beside it');
  }
  return { topLogProbs, logProbs: fields.word('logprobs_mode', 'raw', 'processed') ?? 'raw' };
}

function readGeneration(
  fields: Fields,
  policy: Policy,
): Pick<ChatRequest, 'generation' | 'maxTokens' | 'answers' | 'seed'> {
  const { limits } = policy;
  const wanted = fields.whole('max_completion_tokens', 1, limits.maxTokens);
  const older = fields.whole('max_tokens', 1, limits.maxTokens);
  const maxTokens = wanted ?? older ?? Math.min(limits.defaultMaxTokens, limits.maxTokens);
  const temperature = fields.number('temperature', 0, 2) ?? policy.defaultTemperature;
  const topP = fields.number('top_p', 0, 1) ?? 1;
  const topK = fields.whole('top_k', 0, 2 ** 31 - 1) ?? 0;
  const minP = fields.number('min_p', 0, 1) ?? 0;
  const repetitionPenalty = fields.number('repetition_penalty', Number.MIN_VALUE, 100);
  const seed = fields.whole('seed', -MOST_SEED, MOST_SEED) ?? randomInt(2 ** 48 - 1);
  const answers = fields.whole('n', 1, limits.answers) ?? 1;
  const minTokens = fields.whole('min_tokens', 0, limits.maxTokens) ?? 0;
  if (minTokens > maxTokens) {
    fields.problems.wrong('min_tokens', `at most as many as the answer may have, ${maxTokens}`);
  }
  const stop = fields.texts('stop', 4, 256);
  const draws = temperature > 0 && topP > 0;
  return {
    maxTokens,
    answers,
    seed,
    generation: {
      maxNewTokens: maxTokens,
      doSample: draws,
      ...(draws && { temperature, topP, topK, minP }),
      ...{ n: answers, repetitionPenalty, minTokens, logitBias: readBias(fields) },
      frequencyPenalty: fields.number('frequency_penalty', -2, 2),
      presencePenalty: fields.number('presence_penalty', -2, 2),
      ...readListed(fields),
      // Streams of draws are numbered from 0.
      seed: seed < 0 ? MOST_SEED + 1 + seed : seed,
      stop,
    },
  };
}

function readStream(fields: Fields): StreamOptions | undefined {
  const isStreamed = fields.flag('stream') ?? false;
  const options = fields.object('stream_options', [
    'include_usage',
    'continuous_usage_stats',
    'include_obfuscation',
  ]);
  if (options !== undefined && !isStreamed) {
    fields.problems.wrong('stream_options', 'stream: true beside it');
  }
  if (options?.flag('include_obfuscation') === true) {
    fields.problems.unsupported('stream_options.include_obfuscation');
  }
  const includeUsage = options?.flag('include_usage') ?? false;
  const continuousUsage = options?.flag('continuous_usage_stats') ?? false;
  return isStreamed ? { includeUsage, continuousUsage } : undefined;
}
