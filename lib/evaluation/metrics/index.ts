/** Figures of merit: pure functions over classes, confidences and scores, one idea a file. */
export { bootstrapIntervals, type BootstrapOptions } from './bootstrap.js';
export {
  type Calibration,
  calibration,
  type ConfidentItem,
  type ReliabilityBin,
} from './calibration.js';
export { accuracy, balancedAccuracy, correctCount, macroF1, recalls } from './classification.js';
export { type ClassifiedItem, type ConfusionMatrix, confusionMatrix } from './confusion.js';
export {
  type Gap,
  type Group,
  groupBy,
  type GroupValue,
  largestGap,
  SMALL_GROUP,
} from './groups.js';
export {
  type ClassificationIntervals,
  classificationIntervals,
  equalErrorRateInterval,
  type ResamplingOptions,
} from './intervals.js';
export { mcNemar, type McNemarOptions, type McNemarResult } from './mcnemar.js';
export { equalErrorRate, type OperatingPoint, tmrAtFmr } from './operating-points.js';
export { randomIntegers } from './random.js';
export { areaUnderRoc, type Roc, rocCurve, type RocPoint, type ScoredPair } from './roc.js';
export { DEFAULT_CONFIDENCE, type Interval, wilsonInterval, type WilsonOptions } from './wilson.js';
export { withinBinsCount, withinOneBinAccuracy } from './within-bins.js';
