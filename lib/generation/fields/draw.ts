/** Which of several ways an answer goes on: the most probable one, or one drawn. */
import { createHash } from 'node:crypto';

import { softmax } from '../choose.js';

export interface Drawing {
  /** 0: the most probable way. */
  readonly temperature: number;
  readonly seed: number;
}

/**
 * A number of [0, 1) for each seed and place: what is drawn at one place does not depend on what was drawn at others, nor on
 * company.
 */
export function uniform(seed: number, place: number): number {
  return seedOf(seed, place) / 2 ** 48;
}

/** A seed of its own for each place. */
export function seedOf(seed: number, place: number): number {
  return createHash('sha256').update(`${seed}/${place}`).digest().readUIntBE(0, 6);
}

/** @returns the place of the way; the first among equals */
export function pick(logProbs: readonly number[], place: number, drawing: Drawing): number {
  const { temperature, seed } = drawing;
  if (temperature === 0) return logProbs.indexOf(Math.max(...logProbs));
  let left = uniform(seed, place);
  const shares = softmax(logProbs.map((logProb) => logProb / temperature));
  for (const [i, share] of shares.entries()) {
    left -= share;
    if (left < 0) return i;
  }
  return shares.indexOf(Math.max(...shares));
}
