/** What is settled before anything is asked, and what making the dataset would take: labels, prompts, pairs, prices. */
import { type LabelledImages, readLabels } from '../labels/read-labels.js';
import { checkPromptSet, loadPromptSet, selectQuestions } from '../prompts/load-prompt-set.js';
import type { PromptSet } from '../prompts/prompt-set.js';
import { BATCH_PRICE_FACTOR } from '../teachers/prices.js';
import type { Teacher, TokenPrices } from '../teachers/teacher.js';
import { estimate, type Estimate } from './estimate.js';
import type { GenerationResult } from './events.js';
import { checkOptions, type GenerateOptions } from './options.js';
import { Plan } from './plan.js';

export interface GenerationPlan extends Estimate {
  readonly images: number;
  /** Pairs that will be asked. */
  readonly pairs: number;
  readonly unasked: number;
  readonly skippedRows: number;
  readonly teacher: Readonly<Record<string, unknown>>;
  readonly promptSet: { readonly name: string; readonly version: string; readonly sha256: string };
}

export interface Prepared {
  readonly labelled: LabelledImages;
  readonly plan: Plan;
  readonly prices: TokenPrices | undefined;
}

function pricesOf(teacher: Teacher, isBatch: boolean): TokenPrices | undefined {
  const { prices } = teacher;
  if (prices === undefined || !isBatch) return prices;
  return { input: prices.input * BATCH_PRICE_FACTOR, output: prices.output * BATCH_PRICE_FACTOR };
}

async function loadPrompts({
  prompts = 'fairfacegpt',
  questions,
}: GenerateOptions): Promise<PromptSet> {
  const set =
    typeof prompts === 'string' ? await loadPromptSet(prompts) : checkPromptSet(prompts, 'prompts');
  return questions === undefined ? set : selectQuestions(set, questions);
}

export async function prepare(options: GenerateOptions): Promise<Prepared> {
  const prompts = await loadPrompts(options);
  const labelled = await readLabels(options);
  const prices = pricesOf(options.teacher, Boolean(options.batch));
  return { labelled, plan: new Plan(labelled.images, prompts), prices };
}

export function promptSetOf(plan: Plan): GenerationResult['promptSet'] {
  const { name, version } = plan.prompts;
  return { name, version, sha256: plan.promptSha256 };
}

function unaskedOf(plan: Plan): number {
  let count = 0;
  for (let pair = 0; pair < plan.size; pair++) if (plan.obstacle(pair) !== undefined) count++;
  return count;
}

/**
 * What `generateDataset` would do: labels checked, pairs counted, tokens and cost estimated. Nothing is
 * asked or written.
 *
 * @throws as `generateDataset`
 */
export async function planDataset(given: GenerateOptions): Promise<GenerationPlan> {
  const options = checkOptions(given);
  const { plan, labelled, prices } = await prepare(options);
  const unasked = unaskedOf(plan);
  const pairs = plan.size - unasked;
  return {
    ...(await estimate(plan, options.teacher, prices, pairs)),
    images: plan.images.length,
    pairs,
    unasked,
    skippedRows: labelled.skipped.length,
    teacher: { name: options.teacher.name, ...options.teacher.identity },
    promptSet: promptSetOf(plan),
  };
}
