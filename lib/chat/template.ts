/**
 * Conversations to prompts in three forms (docs/internvl3.md, section 7.3): `hub`, the checkpoint's own
 * jinja template; `original` and `training`, built in. A template is data from a checkpoint: the
 * interpreter has no access to the host, and whatever it throws or garbles is a typed error.
 */
import { Template } from '@huggingface/jinja';

import type { TextCoder } from '../tokenizer/index.js';
import { HUB_TEMPLATE, renderBuiltIn } from './built-in.js';
import { type ChatMessage, checkMessages, hasTags, IMAGE_TAG, imagesOf } from './messages.js';
import { type RenderedChat, Shield } from './segments.js';
import { findTemplate, invalidTemplate, readNamedTokens } from './template-file.js';

export type TemplateName = 'hub' | 'original' | 'training';
export const TEMPLATE_NAMES: readonly TemplateName[] = ['hub', 'original', 'training'];

export interface RenderOptions {
  /** Text of a system turn. Absent: the form's default (none for `hub`); '': no system turn. */
  readonly system?: string | undefined;
  /** Ends with the head of the assistant's turn. @default true */
  readonly addGenerationPrompt?: boolean;
}

/** A parsed template and the names of tokens that it may use. */
interface Jinja {
  readonly template: Template;
  readonly names: Readonly<Record<string, string>>;
}

export class ChatTemplate {
  readonly name: TemplateName;
  readonly #jinja: Jinja | undefined;
  readonly #tokenizer: TextCoder;

  private constructor(name: TemplateName, jinja: Jinja | undefined, tokenizer: TextCoder) {
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
    const [file, names] = await Promise.all([findTemplate(directory), readNamedTokens(directory)]);
    try {
      const template = new Template(file?.source ?? HUB_TEMPLATE);
      return new ChatTemplate(name, { template, names }, tokenizer);
    } catch (cause) {
      throw invalidTemplate(`the chat template in ${file?.path} cannot be parsed`, cause);
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
    const system = options.system === undefined ? undefined : shield.cover(options.system);
    const safe = messages.map((message) => covered(message, (text) => shield.cover(text)));
    const text =
      this.#jinja === undefined
        ? renderBuiltIn(safe, { system, addGenerationPrompt })
        : renderJinja(this.#jinja, withSystem(safe, system), addGenerationPrompt);
    const segments = shield.uncover(text);
    const imageCount = imagesOf(messages).length;
    const places = segments.filter((segment) => 'image' in segment).length;
    if (places !== imageCount) {
      throw invalidTemplate(`the chat template made ${places} place(s) for ${imageCount} image(s)`);
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

/** Texts made safe; places of pictures are parts, or tags in the text where the user wrote them. */
function covered(message: ChatMessage, cover: (text: string) => string): ChatMessage {
  const { role, content } = message;
  if (typeof content === 'string') return { role, content: cover(content) };
  const isTagged = hasTags(message);
  return {
    role,
    content: content.flatMap((part) => {
      if (part.type === 'image') return isTagged ? [] : part;
      const texts = isTagged ? part.text.split(IMAGE_TAG) : [part.text];
      return { type: 'text', text: texts.map(cover).join(IMAGE_TAG) };
    }),
  };
}

function renderJinja(
  { template, names }: Jinja,
  messages: readonly ChatMessage[],
  addGenerationPrompt: boolean,
): string {
  const plain = messages.map(({ role, content }) => ({
    role,
    content:
      typeof content === 'string'
        ? content
        : content.map((part) => (part.type === 'image' ? { type: 'image' } : part)),
  }));
  try {
    return template.render({
      ...names,
      messages: plain,
      tools: null,
      documents: null,
      add_generation_prompt: addGenerationPrompt,
    });
  } catch (cause) {
    throw invalidTemplate('the chat template cannot be rendered', cause);
  }
}
