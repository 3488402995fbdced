/** Calibrated probabilities: temperatures fitted on labels, their file, and their use. Knows no model. */
export {
  type CalibratedQuestion,
  type CalibrationFile,
  type CalibrationSubject,
  type Change,
  FORMAT,
  type PromptForm,
  readCalibration,
} from './calibration-file.js';
export {
  type AskedHow,
  type AskedQuestion,
  Calibration,
  calibrationFingerprint,
  loadCalibration,
} from './calibration.js';
export { crossFitted, DEFAULT_FOLDS } from './cross-fit.js';
export { fitTemperature, likelihoodLoss, type LabelledScores, sharesAt } from './temperature.js';
