/** The figures of one attribute, one model and one way of reading, over a set of pictures. */
import { type Calibration, calibration, type ReliabilityBin } from '../metrics/calibration.js';
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
  readonly confidence?: number | undefined;
  /** The same of calibrated probabilities; undefined where the run has none. */
  readonly calibratedConfidence?: number | undefined;
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
  /** Of probabilities at a temperature that was fitted on labels. */
  readonly calibratedEce: Estimate | undefined;
}

export type FigureName = Exclude<keyof Figures, 'count' | 'unread'>;

/** In the order of tables. */
export const FIGURE_TITLES: Readonly<Record<FigureName, string>> = {
  accuracy: 'accuracy',
  balancedAccuracy: 'balanced accuracy',
  macroF1: 'macro-F1',
  withinOneBin: 'within one bin',
  ece: 'ECE',
  calibratedEce: 'calibrated ECE',
};
export const FIGURE_NAMES = Object.keys(FIGURE_TITLES) as readonly FigureName[];

function estimate(value: number | undefined, interval?: Interval): Estimate | undefined {
  return value === undefined ? undefined : { value, ...interval };
}

/** The model's own probabilities, or the calibrated ones. */
type Confidence = 'confidence' | 'calibratedConfidence';

function calibrationOf(answers: readonly ScoredAnswer[], which: Confidence): Calibration {
  const items = answers.flatMap(({ predicted, truth, [which]: confidence }) =>
    confidence === undefined ? [] : [{ confidence, isCorrect: predicted === truth }],
  );
  return calibration(items);
}

/** Bars of the reliability diagram; undefined if no answer has such a probability. */
export function reliability(
  answers: readonly ScoredAnswer[],
  which: Confidence,
): readonly ReliabilityBin[] | undefined {
  const { ece, bins } = calibrationOf(answers, which);
  return ece === undefined ? undefined : bins;
}

/** @param seed of the intervals of balanced accuracy and macro-F1 @default without them */
export function figuresOf(
  answers: readonly ScoredAnswer[],
  { choices, isOrdinal = false }: AttributeDefinition,
  seed?: number,
): Figures {
  const matrix = confusionMatrix(answers, choices.length);
  const { ece } = calibrationOf(answers, 'confidence');
  const { ece: calibratedEce } = calibrationOf(answers, 'calibratedConfidence');
  const figures = figuresOfMatrix(matrix, ece, isOrdinal, seed);
  return { ...figures, calibratedEce: estimate(calibratedEce) };
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
    calibratedEce: undefined,
  };
}
