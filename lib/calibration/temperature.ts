/**
 * Temperature scaling (C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017): one number a question, by which
 * the log-probabilities of its answers are divided. It changes how sure the model is and never which answer is first. Labels count
 * as J. Platt counts them ("Probabilistic Outputs for Support Vector Machines", 1999): n that are all right are evidence of one error
 * in n + 2, not of none, which would ask for endless certainty.
 */
import { softmax } from '../generation/index.js';

/** One labelled item: what the model thought of each answer, and which one is right. */
export interface LabelledScores {
  /** Natural logs, up to a constant; -Infinity is an answer that the model rules out. */
  readonly logProbs: readonly number[];
  /** Place of the right answer. */
  readonly label: number;
}

export interface FittedTemperature {
  readonly temperature: number;
  /** The labels ask for less than {@link LEAST} or more than {@link MOST}: answers are far surer or less sure than deserved, or as good as drawn. */
  readonly isAtBound: boolean;
}

export const LEAST = 0.05;
export const MOST = 20;
/** What a probability of 0 counts as: the smallest that a double can hold. */
const FLOOR = Math.log(Number.MIN_VALUE);
/** Halvings of the interval in which the answer lies: 2^-60 of it is below a double's precision. */
const STEPS = 60;

const bounded = (logProbs: readonly number[]): number[] => {
  const top = Math.max(...logProbs);
  return logProbs.map((logProb) => Math.max(logProb - top, FLOOR));
};

/** Shares of the answers at a temperature; they add up to 1. At 1: the model's own. */
export function sharesAt(logProbs: readonly number[], temperature: number): number[] {
  return softmax(bounded(logProbs).map((logProb) => logProb / temperature));
}

/** Mean negative log-likelihood of the labels, in nats; undefined of no items. */
export function likelihoodLoss(
  items: readonly (LabelledScores & { readonly temperature: number })[],
): number | undefined {
  if (items.length === 0) return undefined;
  const losses = items.map(({ logProbs, label, temperature }) => {
    const scores = bounded(logProbs).map((logProb) => logProb / temperature);
    const total = scores.reduce((sum, score) => sum + Math.exp(score), 0);
    return Math.log(total) - (scores[label] ?? FLOOR);
  });
  return losses.reduce((sum, loss) => sum + loss, 0) / items.length;
}

/**
 * Slope of the loss over the inverse of the temperature, in which it is convex. Of each label a share of 1 / (n + 2) counts for the
 * likeliest of the other answers.
 */
function slopeAt(items: readonly LabelledScores[], inverse: number): number {
  const doubt = 1 / (items.length + 2);
  let slope = 0;
  for (const { logProbs, label } of items) {
    const scores = bounded(logProbs);
    const shares = softmax(scores.map((score) => score * inverse));
    const expected = shares.reduce((sum, share, i) => sum + share * (scores[i] ?? 0), 0);
    const other = Math.max(...scores.filter((_, i) => i !== label));
    slope += expected - (1 - doubt) * (scores[label] ?? FLOOR) - doubt * other;
  }
  return slope;
}

/** The temperature at which the labels, doubted so, are most likely; 1 of none that tell of it: an only answer left is certain at any. */
export function fitTemperature(labelled: readonly LabelledScores[]): FittedTemperature {
  const items = labelled.filter(({ logProbs, label }) =>
    bounded(logProbs).some((score, i) => i !== label && score > FLOOR),
  );
  let [low, high] = [1 / MOST, 1 / LEAST];
  if (items.length === 0) return { temperature: 1, isAtBound: false };
  if (slopeAt(items, low) >= 0) return { temperature: MOST, isAtBound: true };
  if (slopeAt(items, high) <= 0) return { temperature: LEAST, isAtBound: true };
  for (let step = 0; step < STEPS; step++) {
    const middle = Math.sqrt(low * high);
    if (slopeAt(items, middle) < 0) low = middle;
    else high = middle;
  }
  return { temperature: 1 / Math.sqrt(low * high), isAtBound: false };
}
