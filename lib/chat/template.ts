/**
 * Conversations to prompts in three forms (spec internvl3.md, section 7.3): `hub`, the checkpoint's own
 * jinja template; `original` and `training`, built in. A template is data from a checkpoint: the
 * interpreter has no access to the host, and whatever it throws or garbles is a typed error.
 */
import { join } from 'node:path';

import { Template } from '@huggingface/jinja';

import { createError, FaceLlmError } from '../errors.js';
import { jsonFault, parseJson, readOptionalText } from '../files/index.js';
import type { TextCoder } from '../tokenizer/index.js';
import { HUB_TEMPLATE, renderBuiltIn } from './built-in.js';
import { type ChatMessage, checkMessages, imagesOf } from './messages.js';
import { type RenderedChat, Shield } from './segments.js';

export type TemplateName = 'hub' | 'original' | 'training';
export const TEMPLATE_NAMES: readonly TemplateName[] = ['hub', 'original', 'training'];

export interface RenderOptions {
  /** Text of a system turn. Absent: the form's default (none for `hub`); '': no system turn. */
  readonly system?: string | undefined;
  /** Ends with the head of the assistant's turn. @default true */
  readonly addGenerationPrompt?: boolean;
}

export class ChatTemplate {
  readonly name: TemplateName;
  readonly #jinja: Template | undefined;
  readonly #tokenizer: TextCoder;

  private constructor(name: TemplateName, jinja: Template | undefined, tokenizer: TextCoder) {
    this.name = name;
    this.#jinja = jinja;
    this.#tokenizer = tokenizer;
  }

  /** @throws CheckpointError FACELLM_TEMPLATE_INVALID */
  static async load(
    directory: string,
    name: TemplateName,
    tokenizer: TextCoder,
  ): Promise<ChatTemplate> {
    if (name !== 'hub') return new ChatTemplate(name, undefined, tokenizer);
    const source = (await readTemplate(directory)) ?? HUB_TEMPLATE;
    try {
      return new ChatTemplate(name, new Template(source), tokenizer);
    } catch (cause) {
      throw invalid(`the chat template of ${directory} cannot be parsed`, cause);
    }
  }

  /**
   * The prompt of a conversation. Pictures are numbered in message order.
   *
   * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT for turns out of order
   * @throws CheckpointError FACELLM_TEMPLATE_INVALID
   */
  render(messages: readonly ChatMessage[], options: RenderOptions = {}): RenderedChat {
    checkMessages(messages, options.system);
    const shield = new Shield(this.#tokenizer.controlTokens.keys());
    const addGenerationPrompt = options.addGenerationPrompt ?? true;
    const cover = (text: string): string => shield.cover(text);
    const text =
      this.#jinja === undefined
        ? renderBuiltIn(messages, { system: options.system, addGenerationPrompt, cover })
        : renderJinja(
            this.#jinja,
            withSystem(messages, options.system),
            addGenerationPrompt,
            cover,
          );
    const segments = shield.uncover(text);
    const imageCount = imagesOf(messages).length;
    const places = segments.filter((segment) => 'image' in segment).length;
    if (places !== imageCount) {
      throw invalid(`the chat template made ${places} place(s) for ${imageCount} image(s)`);
    }
    return { segments, imageCount };
  }
}

function withSystem(
  messages: readonly ChatMessage[],
  system: string | undefined,
): readonly ChatMessage[] {
  return system === undefined || system === ''
    ? messages
    : [{ role: 'system', content: system }, ...messages];
}

function renderJinja(
  template: Template,
  messages: readonly ChatMessage[],
  addGenerationPrompt: boolean,
  cover: (text: string) => string,
): string {
  const plain = messages.map(({ role, content }) => ({
    role,
    content:
      typeof content === 'string'
        ? cover(content)
        : content.map((part) =>
            part.type === 'image' ? { type: 'image' } : { type: 'text', text: cover(part.text) },
          ),
  }));
  try {
    return template.render({ messages: plain, add_generation_prompt: addGenerationPrompt });
  } catch (cause) {
    throw invalid('the chat template cannot be rendered', cause);
  }
}

/** chat_template.jinja, else chat_template.json, else the entry in tokenizer_config.json. */
async function readTemplate(directory: string): Promise<string | undefined> {
  const own = await readOptional(join(directory, 'chat_template.jinja'));
  if (own !== undefined) return own;
  for (const name of ['chat_template.json', 'tokenizer_config.json']) {
    const text = await readOptional(join(directory, name));
    if (text === undefined) continue;
    const json = parseJson(text);
    if (!json.isValid) throw invalid(`${join(directory, name)} ${jsonFault(text, json.reason)}`);
    const value = (json.value as { chat_template?: unknown } | null)?.chat_template;
    if (typeof value === 'string') return value;
  }
  return undefined;
}

function readOptional(path: string): Promise<string | undefined> {
  const code = 'FACELLM_TEMPLATE_INVALID';
  return readOptionalText(path, { unreadable: code, invalid: code });
}

function invalid(message: string, cause?: unknown): FaceLlmError {
  const reason = cause instanceof Error ? [cause.message] : [];
  return createError(
    'FACELLM_TEMPLATE_INVALID',
    `${message}; the forms original and training do not need it`,
    { details: reason, cause },
  );
}
