/** Folders of pictures to tables. */
export {
  annotate,
  type AnnotateOptions,
  type AnnotationEvent,
  type AnnotationResult,
  type AnnotationRun,
} from './annotate.js';
export type {
  AnnotatingModel,
  AnnotationAnswer,
  AnnotationRow,
  RowStatus,
} from './annotate-picture.js';
export { type AnnotationQuestion, attributeQuestions, loadQuestions } from './questions.js';
