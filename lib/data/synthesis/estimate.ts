/** What a run will take, from the headers of a few pictures; nothing is asked. */
import { isTeacherFailure, type TeacherRequest, type TokenUsage } from '../teachers/exchange.js';
import type { Teacher, TokenPrices } from '../teachers/teacher.js';
import type { Plan } from './plan.js';
import { costOf } from './spending.js';

const SAMPLE_IMAGES = 16;

export interface Estimate {
  /** Of all pairs together. */
  readonly likely: TokenUsage;
  /** US dollars for them; undefined if no price is known. */
  readonly likelyCost: number | undefined;
  /** The most that one request can cost. */
  readonly mostPerRequest: number;
  /** Pictures whose size was looked at. */
  readonly sampledImages: number;
}

/** Pictures spread evenly over the plan. */
function sample(plan: Plan): number[] {
  const count = Math.min(SAMPLE_IMAGES, plan.images.length);
  return Array.from({ length: count }, (_, i) => Math.floor((i * plan.images.length) / count));
}

/** Undefined for a picture that cannot be read: its pairs are set aside when their turn comes. */
async function lookAt(
  teacher: Teacher,
  request: TeacherRequest,
): Promise<{ readonly likely: TokenUsage; readonly bound: TokenUsage } | undefined> {
  const none = { promptTokens: 0, completionTokens: 0 };
  try {
    const likely = (await teacher.estimate?.(request)) ?? none;
    return { likely, bound: (await teacher.bound?.(request)) ?? likely };
  } catch (error) {
    if (isTeacherFailure(error)) return undefined;
    throw error;
  }
}

/**
 * @param pairs how many will be asked
 */
export async function estimate(
  plan: Plan,
  teacher: Teacher,
  prices: TokenPrices | undefined,
  pairs: number,
): Promise<Estimate> {
  const questions = plan.prompts.questions.length;
  const images = teacher.estimate === undefined ? [] : sample(plan);
  let [prompt, completion, count, most] = [0, 0, 0, 0];
  for (const image of images) teacher.expect?.(plan.request(image * questions, 0).image);
  for (const image of images) {
    for (let question = 0; question < questions; question++) {
      const request = plan.request(image * questions + question, 0);
      const usages = await lookAt(teacher, request);
      if (usages === undefined) continue;
      prompt += usages.likely.promptTokens;
      completion += usages.likely.completionTokens;
      count++;
      if (prices !== undefined) most = Math.max(most, costOf(usages.bound, prices));
    }
  }
  const scale = count === 0 ? 0 : pairs / count;
  const likely = {
    promptTokens: Math.round(prompt * scale),
    completionTokens: Math.round(completion * scale),
  };
  return {
    likely,
    likelyCost: prices === undefined ? undefined : costOf(likely, prices),
    mostPerRequest: most,
    sampledImages: images.length,
  };
}
