/** Answers to conversations, each a request of its own to the engine. */
import type { ChatMessage } from '../chat/index.js';
import {
  type AnswerPiece,
  type AnswerResult,
  generate,
  resolveGeneration,
  withinLength,
} from '../generation/index.js';
import type { ModelCall } from './call.js';
import { describePrompt } from './prepared.js';
import type { ChatOptions } from './requests.js';

/**
 * An answer for each conversation, in their order.
 *
 * @param resolved of the options, before anything was awaited
 * @param startedAt of the call
 * @param push receives pieces as they come, with the place of their conversation
 */
export async function answer(
  { parts, prompts: writer, lease }: ModelCall,
  conversations: readonly (readonly ChatMessage[])[],
  options: ChatOptions,
  resolved: ReturnType<typeof resolveGeneration>,
  startedAt: number,
  push: (place: number, piece: AnswerPiece) => void,
): Promise<readonly AnswerResult[]> {
  const { tokens, pixels, tokenizer, config, maxContext } = parts;
  const prompts = await Promise.all(
    conversations.map((messages) => writer.write(messages, options, lease.adapters)),
  );
  const preparedMs = performance.now() - startedAt;
  await options.whenPrepared?.(prompts.map(describePrompt));
  return generate(
    {
      ...{ tokens, pixels, tokenizer, startedAt, preparedMs },
      adapters: lease.ids,
      eosIds: config.generation.eosTokenIds,
      maxPositions: maxContext,
      vocabSize: config.model.text.vocabSize,
      usesPrefixCache: options.reusePrefix ?? true,
      signal: options.signal,
    },
    prompts,
    withinLength(resolved, Math.max(...prompts.map(({ ids }) => ids.length))),
    push,
  );
}
