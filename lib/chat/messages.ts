/** What a conversation is, and the checks that every template relies on. */
import { InvalidArgumentError } from '../errors.js';
import type { ImageSource } from '../image/index.js';

export type ChatRole = 'system' | 'user' | 'assistant';

export type ChatContent =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'image'; readonly image: ImageSource };

export interface ChatMessage {
  readonly role: ChatRole;
  /** Text, or texts and pictures in the order in which the model shall meet them. */
  readonly content: string | readonly ChatContent[];
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
  const { role, content } = message;
  if (!['system', 'user', 'assistant'].includes(role)) {
    return [`${where}.role: expected system, user or assistant, got ${String(role)}`];
  }
  if (typeof content === 'string') return [];
  if (!Array.isArray(content)) return [`${where}.content: expected a string or an array of parts`];
  const parts = content as readonly ChatContent[];
  if (parts.length === 0) return [`${where}.content: expected at least one part`];
  return parts.flatMap((part, i) => {
    const place = `${where}.content[${i}]`;
    if (part?.type === 'text' && typeof part.text === 'string') return [];
    if (part?.type !== 'image')
      return [`${place}: expected {type: 'text', text} or {type: 'image', image}`];
    return role === 'user'
      ? []
      : [`${place}: only user turns may hold images, this one is ${role}`];
  });
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
