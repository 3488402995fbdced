/** One question put to a model: an outcome, also of one that cannot be asked. */
import { type ErrorCode, FaceLlmError } from '../../errors.js';
import type { ModelUnderTest } from '../model-under-test.js';
import type { Benchmark, EvaluationItem, ItemOutcome } from '../types.js';

/** Faults of one question. Any other error is the model's or the machine's and ends the run. */
const QUESTION_FAULTS: readonly ErrorCode[] = [
  'FACELLM_IMAGE_NOT_FOUND',
  'FACELLM_IMAGE_INVALID',
  'FACELLM_IMAGE_TOO_LARGE',
  'FACELLM_NO_FACE',
  'FACELLM_PROMPT_TOO_LONG',
  'FACELLM_NON_FINITE',
  'FACELLM_OUT_OF_MEMORY',
];

/** @throws the signal's reason; FaceLlmError of any fault that is not the question's */
export async function ask(
  model: ModelUnderTest,
  item: EvaluationItem,
  readings: Benchmark['readings'],
  signal: AbortSignal,
): Promise<ItemOutcome> {
  const { id } = item;
  const startedAt = performance.now();
  try {
    // One after the other: the second finds the pictures and the prompt computed.
    const text = readings.includes('text') ? await model.answer(item, signal) : undefined;
    const choice = readings.includes('probability') ? await model.choose(item, signal) : undefined;
    const { promptHash = '', promptTokens = 0, imageTokens = 0 } = text ?? choice ?? {};
    return {
      ...{ id, promptHash },
      ...(text !== undefined && { text: text.text }),
      ...(text?.divergence !== undefined && { divergence: text.divergence }),
      ...(choice !== undefined && { probabilities: choice.probabilities }),
      ...{ promptTokens, imageTokens, generatedTokens: text?.generatedTokens ?? 0 },
      milliseconds: performance.now() - startedAt,
    };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof FaceLlmError) || !QUESTION_FAULTS.includes(error.code)) throw error;
    const { code, message } = error;
    const nothing = { promptTokens: 0, imageTokens: 0, generatedTokens: 0, milliseconds: 0 };
    return { id, promptHash: '', ...nothing, failure: { code, message } };
  }
}
