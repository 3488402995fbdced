/** Figures of merit: pure functions over classes, confidences and scores, one idea a file. */
export { calibration, type ReliabilityBin } from './calibration.js';
export { accuracy, balancedAccuracy, correctCount, macroF1, recalls } from './classification.js';
export {
  type ClassifiedItem,
  type ConfusionMatrix,
  confusionMatrix,
  withinBinsCount,
  withinOneBinAccuracy,
} from './confusion.js';
export { type Gap, groupBy, largestGap, SMALL_GROUP } from './groups.js';
export { classificationIntervals, equalErrorRateInterval } from './intervals.js';
export { mcNemar, type McNemarResult } from './mcnemar.js';
export { equalErrorRate, type OperatingPoint, tmrAtFmr } from './operating-points.js';
export { randomIntegers } from './random.js';
export { areaUnderRoc, type Roc, rocCurve, type ScoredPair } from './roc.js';
export { DEFAULT_CONFIDENCE, type Interval, wilsonInterval } from './wilson.js';
