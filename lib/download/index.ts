/** Fetching models and data sets: resumable, checked by hash, into the cache that Python's tools use too. */
export {
  download,
  type DownloadOptions,
  type DownloadResult,
  type DownloadSurroundings,
  downloadWith,
} from './download.js';
export type { DownloadedDataset } from './datasets/download-dataset.js';
export type { DownloadedRepository } from './download-repository.js';
export { downloadMissing } from './download-missing.js';
export type { DownloadEvent, DownloadProgress, OnDownload, PlannedFile } from './events.js';
