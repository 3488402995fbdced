/** Scores of the whole vocabulary along an answer that is given, beside the engine's loop: nothing is cached. */
import { settle } from '../binding/settle.js';
import type { ChatMessage } from '../chat/index.js';
import { InvalidArgumentError } from '../errors.js';
import type { ModelCall } from './call.js';
import type { AnswerLogitsOptions } from './requests.js';

export interface AnswerLogits {
  /** Of the answer. */
  readonly tokens: number;
  readonly vocabulary: number;
  /** `[tokens, vocabulary]` fp32, row-major: the scores from which each token of the answer would have been chosen. */
  readonly data: Float32Array;
}

export async function answerLogits(
  { parts, prompts, lease }: ModelCall,
  messages: readonly ChatMessage[],
  answer: readonly number[],
  options: AnswerLogitsOptions,
): Promise<AnswerLogits> {
  const { native, maxContext, config } = parts;
  const { ids, images } = await prompts.write(messages, options, lease.adapters);
  const length = ids.length + answer.length;
  if (length > maxContext) {
    throw new InvalidArgumentError(
      'FACELLM_PROMPT_TOO_LONG',
      `prompt and answer have ${length} tokens, the model's limit is ${maxContext}; use fewer tiles, images or words`,
    );
  }
  const pictures = await Promise.all(
    images.map(async ({ pixels, ...image }) => ({ ...image, rgb: await pixels.decode() })),
  );
  options.signal?.throwIfAborted();
  // The last token chooses nothing any more.
  const given = Int32Array.from([...ids, ...answer.slice(0, -1)]);
  const job = native.lastLogits({ ids: given, images: pictures }, lease.ids, answer.length);
  const { data } = await settle(job, options.signal);
  return { tokens: answer.length, vocabulary: config.model.text.vocabSize, data };
}
