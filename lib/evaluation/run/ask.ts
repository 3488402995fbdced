/** One batch of questions put to a model: an outcome each, also for those that cannot be asked. */
import { type ErrorCode, FaceLlmError } from '../../errors.js';
import type { ModelUnderTest } from '../model-under-test.js';
import type { Benchmark, EvaluationItem, ItemOutcome } from '../types.js';

/** Faults of one question. Any other error is the model's or the machine's and ends the run. */
const QUESTION_FAULTS: readonly ErrorCode[] = [
  'FACELLM_IMAGE_NOT_FOUND',
  'FACELLM_IMAGE_INVALID',
  'FACELLM_IMAGE_TOO_LARGE',
  'FACELLM_PROMPT_TOO_LONG',
  'FACELLM_NON_FINITE',
  'FACELLM_OUT_OF_MEMORY',
];

/**
 * Answers a batch from empty caches, so that nothing asked before has a say in it. If the batch as a
 * whole fails for a question's fault, its questions are asked one by one and the faulty ones marked.
 *
 * @throws the signal's reason; FaceLlmError of any fault that is not a question's
 */
export async function askBatch(
  model: ModelUnderTest,
  items: readonly EvaluationItem[],
  readings: Benchmark['readings'],
  signal: AbortSignal,
): Promise<ItemOutcome[]> {
  await model.clearCaches();
  try {
    return await askTogether(model, items, readings, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (!isQuestionFault(error)) throw error;
    if (items.length === 1) return items.map((item) => failed(item, error));
  }
  const outcomes: ItemOutcome[] = [];
  for (const item of items) outcomes.push(...(await askBatch(model, [item], readings, signal)));
  return outcomes;
}

function isQuestionFault(error: unknown): error is FaceLlmError {
  return error instanceof FaceLlmError && QUESTION_FAULTS.includes(error.code);
}

async function askTogether(
  model: ModelUnderTest,
  items: readonly EvaluationItem[],
  readings: Benchmark['readings'],
  signal: AbortSignal,
): Promise<ItemOutcome[]> {
  const startedAt = performance.now();
  const texts = readings.includes('text') ? await model.answer(items, signal) : [];
  const share = (performance.now() - startedAt) / items.length;
  const outcomes: ItemOutcome[] = [];
  for (const [i, item] of items.entries()) {
    const chosenAt = performance.now();
    const choice = readings.includes('probability') ? await model.choose(item, signal) : undefined;
    const text = texts[i];
    const prompt = text ?? choice;
    outcomes.push({
      id: item.id,
      promptHash: prompt?.promptHash ?? '',
      ...(text !== undefined && { text: text.text }),
      ...(choice !== undefined && { probabilities: choice.probabilities }),
      promptTokens: prompt?.promptTokens ?? 0,
      imageTokens: prompt?.imageTokens ?? 0,
      generatedTokens: text?.generatedTokens ?? 0,
      milliseconds: share + performance.now() - chosenAt,
    });
  }
  return outcomes;
}

function failed({ id }: EvaluationItem, { code, message }: FaceLlmError): ItemOutcome {
  const nothing = { promptTokens: 0, imageTokens: 0, generatedTokens: 0, milliseconds: 0 };
  return { id, promptHash: '', ...nothing, failure: { code, message } };
}
