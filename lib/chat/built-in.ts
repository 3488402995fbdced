/**
 * The two prompt forms that are not in a checkpoint's own template (docs/internvl3.md, section 7.3):
 * `original`, what InternVLChatModel.chat writes, and `training`, what FaceLLM was tuned on
 * (LLaMA-Factory's intern_vl). Both are ChatML with a default system turn; they differ in where
 * pictures go when a text does not say.
 */
import { type ChatMessage, IMAGE_TAG } from './messages.js';

/** The self-introduction that both forms put in front unless told otherwise. */
export const DEFAULT_SYSTEM =
  '你是书生·万象，英文名是InternVL，是由上海人工智能实验室、清华大学及多家合作单位联合开发的多模态大语言模型。';

/** The released HF repositories' own, for folders that carry none. */
export const HUB_TEMPLATE = `{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n'}}{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for content in message['content'] %}{% if content['type'] == 'image' %}{{ '<IMG_CONTEXT>\\n' }}{% elif content['type'] == 'text' %}{{ content['text'] }}{% endif %}{% endfor %}{% endif %}{{'<|im_end|>\\n'}}{% endfor %}{% if add_generation_prompt %}{{'<|im_start|>assistant\\n' }}{% endif %}`;

export interface BuiltInOptions {
  readonly system: string | undefined;
  readonly addGenerationPrompt: boolean;
}

function turn(role: string, content: string): string {
  return `<|im_start|>${role}\n${content}<|im_end|>\n`;
}

/**
 * A picture stands on a line of its own before what follows it, as in the data of both projects
 * ("<image>\nDescribe ...").
 */
function contentText({ content }: ChatMessage): string {
  if (typeof content === 'string') return content;
  return content.map((part) => (part.type === 'image' ? `${IMAGE_TAG}\n` : part.text)).join('');
}

/**
 * Renders either built-in form; their texts are equal once pictures are parts of a turn.
 *
 * @param messages and the system text of `options`: safe already
 */
export function renderBuiltIn(messages: readonly ChatMessage[], options: BuiltInOptions): string {
  const [first] = messages;
  const given = first?.role === 'system' ? contentText(first) : undefined;
  const system = given ?? options.system ?? DEFAULT_SYSTEM;
  let text = system === '' ? '' : turn('system', system);
  for (const message of given === undefined ? messages : messages.slice(1)) {
    text += turn(message.role, contentText(message));
  }
  return options.addGenerationPrompt ? `${text}<|im_start|>assistant\n` : text;
}
