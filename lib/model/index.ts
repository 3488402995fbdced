/** The loaded model and what can be asked of it. */
export {
  type AskOptions,
  type ChatOptions,
  type ChooseOptions,
  FaceLlm,
  type ImageEmbedding,
  type Question,
} from './face-llm.js';
export type { Dtype, LoadOptions, LoadProgress } from './load.js';
export type { ImagePlan, Plan } from './plan.js';
export type { PromptOptions } from './prompt.js';
