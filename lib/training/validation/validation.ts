/** A run's validations: when one is due, what it says, which was the best, and whether the run ends for want of better. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import type { NativeTrainer } from '../../binding/native.js';
import type { SkippedRecord } from '../../data/index.js';
import type { Job } from '../../distributed/index.js';
import { createError } from '../../errors.js';
import type { TrainingRecipe } from '../recipe.js';
import { afterValidation, type BestState } from './best.js';
import {
  isFigure,
  LAST,
  METRICS,
  metricOf,
  validationFigures,
  type ValidationFigures,
} from './figures.js';
import type { ValidationSet } from './validation-set.js';

/** Figures of one's own, of the weights in a folder that is there until the promise settles. */
export type OwnValidation = (context: {
  readonly step: number;
  /** An adapter or a model, as the run's result will be. */
  readonly directory: string;
  readonly signal: AbortSignal | undefined;
}) => Promise<Readonly<Record<string, number>>>;

export interface ValidationRecord extends ValidationFigures {
  readonly step: number;
  readonly totalSteps: number;
  readonly epoch: number;
  /** Of `validate`. */
  readonly own: Readonly<Record<string, number>>;
  /** Whether it is the best so far by the recipe's `bestMetric`; of `last` none is. */
  readonly isBest: boolean;
  readonly seconds: number;
}

export interface ValidationParts {
  readonly recipe: TrainingRecipe;
  /** Undefined: nothing is validated but by `own`. */
  readonly set: ValidationSet | undefined;
  readonly own: OwnValidation | undefined;
  readonly trainer: NativeTrainer;
  readonly job: Job;
  readonly signal: AbortSignal | undefined;
  readonly output: string;
  readonly write: (directory: string) => Promise<void>;
  readonly onLost: (record: SkippedRecord) => void;
}

/** Removed when a run is tidied, if a kill leaves it. */
const FOLDER = 'validation.partial';

export class Validation {
  readonly #parts: ValidationParts;

  constructor(parts: ValidationParts) {
    this.#parts = parts;
  }

  /** Every so many updates, and after the last one. */
  isDue(step: number, totalSteps: number): boolean {
    const { recipe, set } = this.#parts;
    if (set === undefined) return false;
    return step === totalSteps || (recipe.evaluateEvery > 0 && step % recipe.evaluateEvery === 0);
  }

  /** Every rank calls it, and gets the same. */
  async run(
    place: Pick<ValidationRecord, 'step' | 'totalSteps' | 'epoch'>,
    state: BestState,
  ): Promise<{ readonly record: ValidationRecord; readonly state: BestState }> {
    const { recipe, set, trainer, job, signal, onLost } = this.#parts;
    const startedAt = performance.now();
    const samples = (await set?.run(trainer, job, signal, onLost)) ?? [];
    if (samples.length === 0) {
      throw createError(
        'FACELLM_DATA_INVALID',
        'no record to validate with is left: no picture can be decoded',
      );
    }
    const figures = validationFigures(samples);
    const own = await this.#own(place.step);
    const value = await this.#value(figures, own);
    const after = afterValidation(state, place.step, value, recipe);
    const seconds = (performance.now() - startedAt) / 1000;
    const record = { ...place, ...figures, own, isBest: after.best?.step === place.step, seconds };
    return { record, state: after };
  }

  async #own(step: number): Promise<Readonly<Record<string, number>>> {
    const { own, job, output, write, signal } = this.#parts;
    if (own === undefined || !job.isLeader) return {};
    const directory = join(output, FOLDER);
    try {
      await rm(directory, { recursive: true, force: true });
      await mkdir(directory, { recursive: true });
      await write(directory);
      return await own({ step, directory, signal });
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }

  /** One's own figures are known to the leader alone. */
  async #value(figures: ValidationFigures, own: Readonly<Record<string, number>>): Promise<number> {
    const { recipe, job } = this.#parts;
    const { bestMetric } = recipe;
    if (bestMetric === LAST) return Number.NaN;
    if (isFigure(bestMetric)) return metricOf(figures, bestMetric) ?? Number.NaN;
    const given = own[bestMetric];
    const [value = 0, missing = 0] = await job.sum(
      job.isLeader ? [given ?? 0, given === undefined ? 1 : 0] : [0, 0],
    );
    if (missing === 0) return value;
    throw createError(
      'FACELLM_INVALID_ARGUMENT',
      `bestMetric ${bestMetric} is none of ${METRICS.join(', ')}, nor of what validate gave: ${Object.keys(own).join(', ') || 'nothing'}`,
    );
  }
}
