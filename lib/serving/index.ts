/** The server: everything that `facellm/server` exports. */
export {
  batch,
  type BatchEvent,
  type BatchFileRun,
  type BatchOptions,
  type BatchResult,
} from './batch-file.js';
export { createKey, type NewKey } from './keys.js';
export { DEFAULT_LIMITS, type ServeOptions, type ServerLimits } from './options.js';
export { type RunningServer, serve } from './serve.js';
