/** Folders of pictures to tables. */
export {
  annotate,
  type AnnotationEvent,
  type AnnotationResult,
  type AnnotationRun,
} from './annotate.js';
export type { GroupsOption } from './groups.js';
export type { AnnotateOptions } from './options.js';
export { type AnnotationPlan, planAnnotation } from './plan.js';
export type {
  AnnotatingModel,
  AnnotationAnswer,
  AnnotationRow,
  RowStatus,
} from './annotate-picture.js';
export { type AnnotationQuestion, attributeQuestions, loadQuestions } from './questions.js';
