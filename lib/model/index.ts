/** The loaded model and what can be asked of it. */
export {
  Adapter,
  type AdapterFacts,
  type AdapterSelection,
  type LoadAdapterOptions,
} from './adapter.js';
export { baseFacts, statedLicense } from './base-facts.js';
export {
  askedBy,
  type CalibrationChoice,
  type Calibrations,
  calibrationsShape,
  schemaIdentity,
} from './calibrated.js';
export { calibrationSubject } from './calibration-subject.js';
export { createModel, type CreatedModel, type CreateModelOptions } from './create-model.js';
export {
  exportModel,
  type ExportedModel,
  type ExportOptions,
  mergeAdapter,
  type MergeOptions,
  type QuantizedForm,
  quantizeModel,
  type QuantizeOptions,
} from './export-model.js';
export { configFor, type ExportSource, writeCompanions, writeJson } from './export-companions.js';
export { type ModelShape, nanoShape, overrideShape } from './model-shape.js';
export {
  formText,
  readServingSettings,
  resolvePromptOptions,
  type ServingSettings,
  SETTINGS_FILE,
} from './serving-settings.js';
export type { AnswerLogits } from './answer-logits.js';
export type { ImageEmbedding } from './embed-images.js';
export type { ChoosingModel } from './choosing-model.js';
export { FaceLlm } from './face-llm.js';
export type {
  AdapterChoice,
  AnswerLogitsOptions,
  AskOptions,
  ChatOptions,
  ChoiceText,
  ChooseItem,
  ChooseItemsOptions,
  ChooseOptions,
  EmbedOptions,
  Question,
} from './requests.js';
export {
  defaultDtype,
  type Dtype,
  dtypeName,
  limitShape,
  type LoadOptions,
  type LoadProgress,
} from './load.js';
export type { ModelMemory } from './memory-plan.js';
export type { ImagePlan, Plan } from './plan.js';
export { baseWarning, type OfferedBase, refuseFolded, type TrainedBase } from './trained-base.js';
export type { ModelWarning } from './warning.js';
export { weightBytes } from './weight-bytes.js';
export {
  describeWeights,
  keptForm,
  resolveWeights,
  WEIGHT_FORMS,
  type WeightForm,
  type WeightForms,
  weightForms,
} from './weight-forms.js';
export type { Preparation, PreparedPrompt } from './prepared.js';
export { type PromptOptions, promptShape } from './prompt-options.js';
export {
  type AskedSchema,
  askedSchema,
  type Extracted,
  type ExtractOptions,
  type ExtractResult,
  type ExtractSchema,
  formOf,
} from './extract-options.js';
