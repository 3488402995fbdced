/** FaceXBench: its questions, the readings of replies, its tables. */
export { faceXBench, type FaceXBenchOptions } from './benchmark.js';
export { extractOfficial } from './extract-official.js';
export { extractStrict } from './extract-strict.js';
export type { FaceXSetting } from './prompt.js';
