/** Token counts as OpenAI's clients read them. */
import type { RequestFacts } from './request-facts.js';

/** @param completionTokens every id computed for the answers, closing and cut off ones too */
export function usageOf(
  { promptTokens, cachedTokens }: RequestFacts,
  imageTokens: number,
  completionTokens: number,
): object {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: {
      cached_tokens: cachedTokens,
      image_tokens: imageTokens,
      text_tokens: promptTokens - imageTokens,
    },
    completion_tokens_details: { reasoning_tokens: 0 },
  };
}
