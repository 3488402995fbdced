/** What a conversation is, and the checks that every template relies on. */
import type { z } from 'zod';

import { InvalidArgumentError } from '../errors.js';
import { imageSource, type ImageSource } from '../image/index.js';
import { field, fields, kindOf, list, text, word } from '../options/index.js';

export type ChatRole = 'system' | 'user' | 'assistant';

export type ChatContent =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'image'; readonly image: ImageSource };

export interface ChatMessage {
  readonly role: ChatRole;
  /**
   * Text, or texts and pictures in the order in which the model shall meet them. Where a user's text holds as many
   * `<image>` as the turn has pictures, these are the pictures' places instead.
   */
  readonly content: string | readonly ChatContent[];
}

const part = kindOf<ChatContent>((value) => {
  const type = (value as { readonly type?: unknown } | null | undefined)?.type;
  if (type === 'text') return textPart;
  return type === 'image' ? imagePart : noPart;
});
const textPart = fields<Extract<ChatContent, { type: 'text' }>>({
  type: word('text'),
  text: text('a text'),
});
const imagePart = fields<Extract<ChatContent, { type: 'image' }>>({
  type: word('image'),
  image: imageSource,
});
const noPart = field<never>("{type: 'text', text} or {type: 'image', image}", () => false);
const parts = list(part, 'a text, or a list of at least one part', 1);

/** A conversation as it is now: the caller may go on writing to its messages and pictures. */
export const conversation: z.ZodType<readonly ChatMessage[]> = list(
  fields<ChatMessage>({
    role: word('system', 'user', 'assistant'),
    content: kindOf<ChatMessage['content']>((value) =>
      typeof value === 'string' ? text('a text') : parts,
    ),
  }),
  'a list of messages',
);

/** Stands for a picture in texts of training data, and in those of InternVL's and LLaVA's examples. */
export const IMAGE_TAG = '<image>';

/** Whether the tags in a turn's texts are the places of its pictures. */
export function hasTags({ role, content }: ChatMessage): boolean {
  return role === 'user' && tagsOf(content) > 0;
}

function tagsOf(content: ChatMessage['content']): number {
  const texts =
    typeof content === 'string'
      ? [content]
      : content.flatMap((one) => (one.type === 'text' ? one.text : []));
  return texts.reduce((count, one) => count + one.split(IMAGE_TAG).length - 1, 0);
}

/** Pictures of a conversation in the order of their placeholders. */
export function imagesOf(messages: readonly ChatMessage[]): ImageSource[] {
  return messages.flatMap(({ content }) =>
    typeof content === 'string'
      ? []
      : content.flatMap((part) => (part.type === 'image' ? [part.image] : [])),
  );
}

function problemsOf(message: ChatMessage, where: string): string[] {
  const { role } = message;
  const pictures = imagesOf([message]).length;
  if (role !== 'user') {
    return pictures === 0
      ? []
      : [`${where}.content: only user turns may hold images, this one is ${role}`];
  }
  const tags = tagsOf(message.content);
  if (tags === 0 || tags === pictures) return [];
  return [
    `${where}.content: ${tags} ${IMAGE_TAG} stand in the text, ${pictures} picture(s) came with it; leave them out ` +
      '(pictures come first then), or give as many pictures',
  ];
}

/**
 * Lists everything wrong with a conversation: an optional system turn, then user and assistant in
 * turns, the last one the user's.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT
 */
export function checkMessages(messages: readonly ChatMessage[], system: string | undefined): void {
  const problems = messages.flatMap((message, i) => problemsOf(message, `messages[${i}]`));
  const hasSystem = messages[0]?.role === 'system';
  if (hasSystem && system !== undefined) {
    problems.push('system: given as an option and as the first message; use one of them');
  }
  const turns = hasSystem ? messages.slice(1) : messages;
  if (turns.length === 0) problems.push('messages: expected at least one user turn');
  turns.forEach(({ role }, i) => {
    const expected = i % 2 === 0 ? 'user' : 'assistant';
    if (role !== expected) {
      problems.push(`messages[${i + (hasSystem ? 1 : 0)}].role: expected ${expected}, got ${role}`);
    }
  });
  if (turns.length % 2 === 0 && turns.length > 0) {
    problems.push("messages: expected the last turn to be the user's");
  }
  if (problems.length === 0) return;
  throw new InvalidArgumentError(
    'FACELLM_INVALID_ARGUMENT',
    `the conversation has ${problems.length} problem(s)`,
    { details: problems },
  );
}
