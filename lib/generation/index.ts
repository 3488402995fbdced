/** Answers and choices from prompts. */
export {
  type Answer,
  type AnswerPiece,
  type AnswerResult,
  AnswerStream,
  type AnswerTimings,
  type AnswerToken,
  type FinishReason,
  type TokenLogProb,
} from './answer.js';
export { type Choice, choose, type ChoiceResult } from './choose.js';
export { generate } from './generate.js';
export {
  type GenerationOptions,
  generationShape,
  resolveGeneration,
  type Sampling,
  samplingOf,
  withinLength,
} from './options.js';
export { TokenRouter } from './token-router.js';
