/**
 * Accuracies that others published, in per cent; none of them was measured here. Source: the picture
 * assets/benchmark.png and assets/FaceLLM.png of github idiap/facellm, commit 17006ef (the results of
 * arXiv 2507.10300), zero-shot, official reading. The authors' own run had 4,998 questions, two of deepfake
 * detection fewer than the set: their percentages fit no other number.
 */
import { CATEGORIES } from './published-set.js';

export const PUBLISHED_SOURCE =
  'FaceLLM (arXiv 2507.10300), figures of github idiap/facellm at commit 17006ef; 4,998 questions, zero-shot';

export interface PublishedScore {
  readonly model: string;
  readonly overall: number;
  readonly categories: Readonly<Record<string, number>>;
}

/** @param accuracies by category, in the order of {@link CATEGORIES} */
function score(model: string, overall: number, accuracies: readonly number[]): PublishedScore {
  const entries = Object.keys(CATEGORIES).map((name, i) => [name, accuracies[i]] as const);
  return { model, overall, categories: Object.fromEntries(entries) as Record<string, number> };
}

export const PUBLISHED_SCORES: readonly PublishedScore[] = [
  score('random', 25.1, [24.73, 26.88, 22.71, 24.75, 25.64, 30]),
  score('human', 70.28, [72.33, 65.5, 66, 76.12, 67.27, 94]),
  score('LLaVA-OneVision-0.5B', 34, [34.93, 28.12, 30.29, 44.62, 32.91, 20]),
  score('VILA1.5-3B', 35.8, [38.27, 33.25, 30.86, 44.5, 31.82, 28]),
  score('FaceLLM-1B', 38.86, [40.67, 32.5, 32.66, 53, 35.64, 28]),
  score('Qwen2-VL-7B', 51.58, [57.47, 57.88, 34, 57.5, 47.09, 38]),
  score('InternVL2-8B', 53.24, [62.4, 61.75, 35.43, 55.38, 45.09, 45]),
  score('FaceLLM-8B', 56.14, [65.2, 62.5, 34.38, 63.25, 48.18, 52]),
  score('InternVL2-76B', 57.8, [69.53, 66.62, 36.14, 62, 47.18, 46]),
  score('Qwen2-VL-72B', 57.86, [62.2, 69.12, 41.14, 57.88, 55.45, 46]),
  score('FaceLLM-38B', 60.52, [71.4, 66.12, 37.97, 65.12, 53.73, 48]),
  score('GPT-4o', 50.5, [46.93, 55.62, 40, 62.25, 50.36, 44]),
  score('Gemini 1.5 Pro', 56.96, [67.4, 70, 35, 58.13, 46.36, 57]),
];

export const PUBLISHED_TASK_MODELS = ['FaceLLM-1B', 'FaceLLM-8B', 'FaceLLM-38B'] as const;

/** Per task, in the order of {@link PUBLISHED_TASK_MODELS}. */
export const PUBLISHED_TASKS: Readonly<Record<string, readonly [number, number, number]>> = {
  age: [27.4, 46, 54.4],
  gender: [63.4, 86.2, 90.2],
  race: [31.2, 63.4, 69.6],
  hr_fr: [33, 71.8, 77.5],
  lr_fr: [20, 49, 39],
  celebrity_identification: [36, 54.7, 60],
  fas: [36.8, 42.5, 45.2],
  deepfakes: [27.2, 23.5, 28.2],
  attributes: [50.2, 60.8, 63.2],
  expression: [55.8, 65.8, 67],
  headpose: [31, 33.8, 36.8],
  crowd_counting: [29, 24.7, 39.3],
  segmentation: [45.2, 80.2, 81.5],
  tools_retrieval: [28, 52, 48],
};
