/** FaceLLM for Node: public names, nothing else. Importing this loads neither addon nor libtorch. */
export type { NativeModelInfo as ModelInfo } from './binding/native.js';
export type { ChatContent, ChatMessage, ChatRole, TemplateName } from './chat/index.js';
export { DEFAULT_SYSTEM } from './chat/index.js';
export type { CheckpointConfig } from './checkpoint/index.js';
export {
  CancelledError,
  CheckpointError,
  DataError,
  DeviceError,
  DisposedError,
  ERROR_CODES,
  type ErrorCode,
  FaceLlmError,
  ImageError,
  InternalError,
  InvalidArgumentError,
  NativeLoadError,
  TrainingError,
} from './errors.js';
export {
  type BenchmarkName,
  type BenchmarkSummary,
  evaluate,
  type EvaluateOptions,
  type EvaluationEvent,
  type EvaluationResult,
} from './evaluation/index.js';
export {
  checkRecipe,
  facellm1b,
  facellm8b,
  facellm38b,
  nano,
  overrideRecipe,
  RECIPES,
  train,
  type TrainingEvent,
  type TrainingRecipe,
  type TrainingResult,
  TrainingRun,
  type TrainOptions,
} from './training/index.js';
export {
  type AnswerResult,
  AnswerStream,
  type AnswerTimings,
  type Choice,
  type ChoiceResult,
  type FinishReason,
  type GenerationOptions,
} from './generation/index.js';
export type {
  DecodeOptions,
  ImageSource,
  RawImage,
  TileRange,
  TilingOptions,
} from './image/index.js';
export {
  Adapter,
  type AdapterChoice,
  type AdapterFacts,
  type AdapterSelection,
  type AskOptions,
  type ChatOptions,
  type ChooseOptions,
  type Dtype,
  type EmbedOptions,
  type ExportedModel,
  exportModel,
  type ExportOptions,
  FaceLlm,
  type ImageEmbedding,
  type ImagePlan,
  type LoadAdapterOptions,
  type LoadOptions,
  type LoadProgress,
  mergeAdapter,
  type MergeOptions,
  type ModelWarning,
  type Plan,
  type PromptOptions,
  type Question,
  type ServingSettings,
} from './model/index.js';
