/** What all long jobs have in common. */
export { FILES_AT_ONCE, Gate, mapBounded, prefetch } from './bounded.js';
export { FairQueue, type QueuedRequest } from './fair-queue.js';
export { JobRun } from './job-run.js';
