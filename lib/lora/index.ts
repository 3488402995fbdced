/** Low-rank adapters: which modules they touch, and their files. */
export {
  ADAPTER_CONFIG,
  ADAPTER_WEIGHTS,
  type AdapterConfig,
  adapterConfigJson,
  readAdapterConfig,
} from './adapter-config.js';
export { type AdapterFiles, readAdapter } from './read-adapter.js';
export { inMemoryName, type LinearModule, linearModules } from './modules.js';
export { type LoraOptions, resolveTargets } from './targets.js';
