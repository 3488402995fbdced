/** Answers and choices from prompts. */
export {
  type AnswerResult,
  AnswerStream,
  type AnswerTimings,
  type FinishReason,
} from './answer.js';
export { checkChoices, type Choice, choose, type ChoiceResult } from './choose.js';
export { generate } from './generate.js';
export { type GenerationOptions, resolveGeneration } from './options.js';
