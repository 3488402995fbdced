/** Low-rank adapters: which modules they touch, and their files. */
export {
  ADAPTER_CONFIG,
  ADAPTER_WEIGHTS,
  adapterConfigJson,
  readAdapterConfig,
} from './adapter-config.js';
export { readAdapter, resolveAdapter } from './read-adapter.js';
export { resolveTargets } from './targets.js';
