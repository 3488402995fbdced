/** Attributes of faces: questions from labelled folders, answers read back, the fairness report. */
export { type AttributesOptions, attributesBenchmark } from './benchmark.js';
export { BUILT_IN_ATTRIBUTES, type BuiltInAttribute } from '../labels/built-in.js';
export type { AttributeChoice, AttributeDefinition } from '../labels/definition.js';
export { answerReader, type AnswerReading } from '../answers/read-answer.js';
