/** Same-person verification: pairs from lists or people, scores, the report on them. */
export { pairsBenchmark, type PairsOptions } from './benchmark.js';
