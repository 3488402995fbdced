/**
 * A request as the body of an OpenAI chat completion, and what comes back. As in fairfacegpt.py: the
 * system turn, then one user turn with the text first and the picture second.
 */
import { z } from 'zod';

import type { Picture } from './pictures.js';
import { pictureTokens } from './prices.js';
import {
  type TeacherAnswer,
  TeacherFailure,
  type TeacherRequest,
  type TokenUsage,
} from './exchange.js';

export interface CompletionSettings {
  readonly model: string;
  /** Longest answer. */
  readonly maxTokens: number;
  /** Undefined for the provider's own. */
  readonly temperature: number | undefined;
  /** OpenAI's newer models know only `max_completion_tokens`, many servers only `max_tokens`. */
  readonly limitKey: 'max_tokens' | 'max_completion_tokens';
}

interface TextPart {
  type: 'text';
  text: string;
}
interface ImagePart {
  type: 'image_url';
  image_url: { url: string };
}

/** The part of the SDK's parameters that is used. */
export interface CompletionBody {
  model: string;
  messages: [{ role: 'system'; content: string }, { role: 'user'; content: [TextPart, ImagePart] }];
  temperature?: number;
  max_tokens?: number;
  max_completion_tokens?: number;
}

export function completionBody(
  request: TeacherRequest,
  picture: Picture,
  settings: CompletionSettings,
): CompletionBody {
  const { model, temperature, maxTokens, limitKey } = settings;
  return {
    model,
    messages: [
      { role: 'system', content: request.system },
      {
        role: 'user',
        content: [
          { type: 'text', text: request.prompt },
          { type: 'image_url', image_url: { url: picture.dataUrl } },
        ],
      },
    ],
    ...(temperature === undefined ? {} : { temperature }),
    [limitKey]: maxTokens,
  };
}

/** Roles and separators of the two turns. */
const FRAME_TOKENS = 32;
/** English text has four letters a token or more; a token has at least one byte. */
const LETTERS_PER_TOKEN = 4;
/** Share of the limit that descriptions take, by the authors' answers of 100 to 300 tokens. */
const TYPICAL_TOKENS = 200;

/** Never below what is charged: each byte of text counts as a token. */
export function boundUsage(
  request: TeacherRequest,
  { width, height }: Picture,
  { model, maxTokens }: CompletionSettings,
): TokenUsage {
  const text = Buffer.byteLength(request.system) + Buffer.byteLength(request.prompt);
  const promptTokens = text + FRAME_TOKENS + pictureTokens(model, width, height);
  return { promptTokens, completionTokens: maxTokens };
}

/** What a request will probably take. */
export function estimateUsage(
  request: TeacherRequest,
  { width, height }: Picture,
  { model, maxTokens }: CompletionSettings,
): TokenUsage {
  const text = Math.ceil((request.system.length + request.prompt.length) / LETTERS_PER_TOKEN);
  return {
    promptTokens: text + FRAME_TOKENS + pictureTokens(model, width, height),
    completionTokens: Math.min(maxTokens, TYPICAL_TOKENS),
  };
}

const count = z.number().int().nonnegative();
/**
 * A part of a content list. Thinking is not the answer, whether it is a part of its own (Mistral) or a field beside
 * `content` (`reasoning_content`, which is not read at all).
 */
const contentPart = z.union([
  z.object({ type: z.enum(['text', 'output_text']), text: z.string() }),
  z.object({ type: z.literal('refusal'), refusal: z.string() }),
  z.object({ type: z.enum(['thinking', 'reasoning', 'redacted_thinking']) }),
]);
const responseSchema = z.object({
  model: z.string().optional(),
  choices: z
    .array(
      z.object({
        finish_reason: z.string().nullish(),
        message: z.object({
          content: z.union([z.string(), z.array(contentPart)]).nullish(),
          refusal: z.string().nullish(),
        }),
      }),
    )
    .min(1),
  usage: z.object({ prompt_tokens: count, completion_tokens: count }).nullish(),
});

type Content = z.infer<typeof responseSchema>['choices'][number]['message']['content'];

function textOf(content: Content): string {
  if (typeof content === 'string') return content;
  return (content ?? []).map((part) => ('text' in part ? part.text : '')).join('');
}

function refusalOf(content: Content): string | undefined {
  const parts = typeof content === 'string' ? [] : (content ?? []);
  return parts.find((part) => 'refusal' in part)?.refusal;
}

/** @throws TeacherFailure of kind `passing` if it is no chat completion */
export function readCompletion(value: unknown): TeacherAnswer {
  const parsed = responseSchema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const place = issue === undefined ? '' : ` (${issue.path.join('.')}: ${issue.message})`;
    throw new TeacherFailure('passing', `the reply is no chat completion${place}`, {
      mayBePaid: true,
    });
  }
  const { choices, usage, model } = parsed.data;
  const [choice] = choices;
  const finish = choice?.finish_reason;
  const content = choice?.message.content;
  return {
    text: textOf(content),
    finish: finish === 'length' ? 'length' : finish === 'content_filter' ? 'filtered' : 'stop',
    refusal: choice?.message.refusal ?? refusalOf(content),
    usage: usage
      ? { promptTokens: usage.prompt_tokens, completionTokens: usage.completion_tokens }
      : undefined,
    model,
  };
}
