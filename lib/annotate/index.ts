/** Folders of pictures to tables. */
export {
  annotate,
  type AnnotationEvent,
  type AnnotationResult,
  type AnnotationRun,
  exportAnnotation,
  type ExportOptions,
  type ProgressEvent,
} from './annotate.js';
export type { CheckEvent } from './changed.js';
export type { GroupsOption } from './groups.js';
export type { AnnotateOptions } from './options.js';
export { type AnnotationPlan, planAnnotation, type PlanAnnotationOptions } from './plan.js';
export type { AnnotationRow, MissedStatus, RowStatus } from './annotate-picture.js';
export type { AnnotatingModel, AnnotationAnswer, AnnotationText } from './answers.js';
export type { AnnotationValue } from './columns.js';
export {
  type AnnotationQuestion,
  attributeQuestions,
  type ClosedQuestion,
  loadQuestions,
  type TextQuestion,
} from './questions.js';
export type { AnnotationSchema } from './schema-fields.js';
