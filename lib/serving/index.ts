/** The server: everything that `facellm/server` exports. */
export { createKey, type NewKey } from './keys.js';
export { DEFAULT_LIMITS, type ServeOptions, type ServerLimits } from './options.js';
export { type RunningServer, serve } from './serve.js';
