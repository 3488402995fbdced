/** Labelled folders of pictures, as attribute and pair benchmarks read them. */
export { fingerprint, sourceOf } from './fingerprint.js';
export {
  findColumn,
  type LabelFile,
  labelProblems,
  type LabelProblem,
  missingColumn,
  readLabelFile,
} from './label-file.js';
export {
  type CheckCells,
  type LabelledPicture,
  type LabelledPictures,
  type LabelledPicturesOptions,
  readLabelledPictures,
} from './labelled-pictures.js';
export type { RowFilterOptions } from './row-filter.js';
