/** Low-rank adapters: which modules they touch, and their files. */
export {
  ADAPTER_CONFIG,
  ADAPTER_WEIGHTS,
  adapterConfigJson,
  readAdapterConfig,
} from './adapter-config.js';
export { readAdapter, resolveAdapter } from './read-adapter.js';
export { linearModules } from './modules.js';
export { type LoraOptions, resolveTargets } from './targets.js';
