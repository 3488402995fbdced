/** What all long jobs have in common. */
export { JobRun } from './job-run.js';
