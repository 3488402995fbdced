/** What is told of a value that an answer holds: how probable it was, what might have stood in its place, and what numbers come to. */
import type { Json } from '../../structured/index.js';
import { softmax } from '../choose.js';

/** One value of an answer, and what the model thought of it and of the others. */
export interface FieldValue {
  readonly value: Json;
  /** Among the values that may stand there; they add up to 1. Given the fields before it. */
  readonly probability: number;
  /** Natural log of its probability before that: among all texts. */
  readonly logProb: number;
  /** Share at a temperature fitted on labels; only where the call was given a calibration that knows the field. */
  readonly calibratedProbability?: number;
}

export interface ExtractedField extends FieldValue {
  /** JSON pointer, `/age`. */
  readonly path: string;
  /** How much of the model's belief the allowed values cover. */
  readonly mass: number;
  /** The others, most probable first; none of free text. */
  readonly alternatives: readonly FieldValue[];
  /** Of whole numbers of a range: their expectation, and the value that half of the belief lies at or below. */
  readonly mean?: number;
  readonly median?: number;
}

const total = (values: readonly number[]): number => values.reduce((sum, one) => sum + one, 0);

/** @param logProbs of each value; `place`: of the one that was chosen */
export function describeChoice(
  path: string,
  values: readonly Json[],
  logProbs: readonly number[],
  place: number,
): ExtractedField {
  const shares = softmax(logProbs);
  const all = values.map((value, i) => ({
    value,
    probability: shares[i] ?? 0,
    logProb: logProbs[i] ?? -Infinity,
  }));
  const chosen = all[place] ?? { value: null, probability: 0, logProb: -Infinity };
  return {
    path,
    ...chosen,
    mass: total(logProbs.map(Math.exp)),
    alternatives: all.filter((_, i) => i !== place).sort((a, b) => b.logProb - a.logProb),
    ...spread(all),
  };
}

/** Of numbers. */
function spread(all: readonly FieldValue[]): { mean?: number; median?: number } {
  if (!all.every(({ value }) => typeof value === 'number')) return {};
  const sorted = all
    .map(({ value, probability }) => ({ value: Number(value), probability }))
    .sort((a, b) => a.value - b.value);
  let sum = 0;
  const median = sorted.find(({ probability }) => (sum += probability) >= 0.5 - 1e-12);
  return {
    mean: total(sorted.map(({ value, probability }) => value * probability)),
    median: median?.value ?? NaN,
  };
}
