/** Answers and choices from prompts. */
export {
  type Answer,
  type AnswerPiece,
  type AnswerResult,
  AnswerStream,
  type AnswerTimings,
  type FinishReason,
} from './answer.js';
export type { AnswerToken, TokenLogProb } from './answer-token.js';
export {
  type Calibrated,
  type Choice,
  choose,
  type ChoiceResult,
  type ItemResult,
  softmax,
} from './choose.js';
export { FieldsCost } from './fields/engine-context.js';
export { type FieldsResult, type Form, writeFields } from './fields/extract.js';
export type { ExtractedField, FieldValue } from './fields/extracted-field.js';
export { GrammarThread, GrammarTooComplex } from './grammar/grammar-thread.js';
export type { GrammarClient } from './grammar/grammar-turns.js';
export { grammarThread } from './grammar/vocabulary.js';
export { generate } from './generate.js';
export {
  type GenerationOptions,
  generationShape,
  resolveGeneration,
  type Sampling,
  samplingOf,
  withinLength,
} from './options.js';
export type { LogitBias } from './logit-bias.js';
export type { TokenMaskFunction } from './token-masks.js';
export { together } from './together.js';
export {
  type FacesSeen,
  facesOf,
  type PicturedPrompt,
  PixelDesk,
  type PromptPicture,
} from './pixel-desk.js';
export { TokenRouter } from './token-router.js';
