/** Where a checkpoint lies, which files it has and what its configuration says. */
export { type CheckpointConfig, type CheckpointLayout, readCheckpointConfig } from './config.js';
export { hfCompanions, isCompanion, PROCESSOR_TOKENS } from './companions.js';
export { convertConfig, hfConfigJson } from './convert-config.js';
export { readOptionalJson, readRequiredJson } from './json-file.js';
export { type CheckpointFiles, readCheckpointFiles } from './files.js';
export {
  findCommit,
  hubCacheFolder,
  hubHome,
  isCommit,
  isHubId,
  isInnerPath,
  kindOfPath,
  offlineSetting,
  repositoryName,
  type RepositoryType,
} from './hub-cache.js';
export { IMAGENET_PREPROCESSING } from './preprocessor-config.js';
export type { GenerationDefaults } from './generation-config.js';
export { readTensorNames } from './tensor-names.js';
export { resolveCheckpoint } from './resolve.js';
export type { StoredQuantisation } from './stored-quantisation.js';
