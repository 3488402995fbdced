/** The figures of one attribute, one model and one way of reading, over a set of pictures. */
import { calibration, type ReliabilityBin } from '../metrics/calibration.js';
import {
  balancedAccuracy,
  type ClassifiedItem,
  type ConfusionMatrix,
  confusionMatrix,
  correctCount,
  macroF1,
  withinBinsCount,
} from '../metrics/classification.js';
import { classificationIntervals } from '../metrics/intervals.js';
import type { Interval } from '../metrics/wilson.js';
import type { AttributeDefinition } from '../labels/definition.js';
import { type Share, shareOf } from '../paired/report.js';

/** One answer held against its label. */
export interface ScoredAnswer extends ClassifiedItem {
  readonly id: string;
  readonly tags: Readonly<Record<string, string>>;
  /** Probability of the answer taken; undefined of generated text. */
  readonly confidence: number | undefined;
}

/** A figure, with its interval where it has one. */
export interface Estimate {
  readonly value: number;
  readonly low?: number;
  readonly high?: number;
}

/** Figures that do not exist (no items, no order, no probabilities) are undefined. */
export interface Figures {
  readonly count: number;
  /** Answers that could not be read, or were not given: counted as wrong. */
  readonly unread: number;
  readonly accuracy: Share | undefined;
  readonly balancedAccuracy: Estimate | undefined;
  readonly macroF1: Estimate | undefined;
  readonly withinOneBin: Share | undefined;
  readonly ece: Estimate | undefined;
}

export type FigureName = Exclude<keyof Figures, 'count' | 'unread'>;

/** In the order of tables. */
export const FIGURE_TITLES: Readonly<Record<FigureName, string>> = {
  accuracy: 'accuracy',
  balancedAccuracy: 'balanced accuracy',
  macroF1: 'macro-F1',
  withinOneBin: 'within one bin',
  ece: 'ECE',
};
export const FIGURE_NAMES = Object.keys(FIGURE_TITLES) as readonly FigureName[];

function estimate(value: number | undefined, interval?: Interval): Estimate | undefined {
  return value === undefined ? undefined : { value, ...interval };
}

function confidentItems(
  answers: readonly ScoredAnswer[],
): { confidence: number; isCorrect: boolean }[] {
  return answers.flatMap(({ confidence, predicted, truth }) =>
    confidence === undefined ? [] : [{ confidence, isCorrect: predicted === truth }],
  );
}

/** Bars of the reliability diagram; undefined if no answer has a probability. */
export function reliability(
  answers: readonly ScoredAnswer[],
): readonly ReliabilityBin[] | undefined {
  const items = confidentItems(answers);
  return items.length === 0 ? undefined : calibration(items).bins;
}

/** @param seed of the intervals of balanced accuracy and macro-F1 @default without them */
export function figuresOf(
  answers: readonly ScoredAnswer[],
  { choices, isOrdinal = false }: AttributeDefinition,
  seed?: number,
): Figures {
  const matrix = confusionMatrix(answers, choices.length);
  return figuresOfMatrix(matrix, calibration(confidentItems(answers)).ece, isOrdinal, seed);
}

/** @param ece of the answers' probabilities; undefined: they have none */
export function figuresOfMatrix(
  matrix: ConfusionMatrix,
  ece: number | undefined,
  isOrdinal: boolean,
  seed?: number,
): Figures {
  const { total } = matrix;
  const intervals =
    seed === undefined || total === 0 ? undefined : classificationIntervals(matrix, { seed });
  return {
    count: total,
    unread: matrix.unread.reduce((sum, n) => sum + n, 0),
    accuracy: shareOf(correctCount(matrix), total),
    balancedAccuracy: estimate(balancedAccuracy(matrix), intervals?.balancedAccuracy),
    macroF1: estimate(macroF1(matrix), intervals?.macroF1),
    withinOneBin: isOrdinal ? shareOf(withinBinsCount(matrix, 1), total) : undefined,
    ece: estimate(ece),
  };
}
