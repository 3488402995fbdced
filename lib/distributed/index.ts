/** Jobs of several processes: who this process is, its peers, and starting them on one machine. */
export { type JobEnvironment, readJobEnvironment } from './environment.js';
export { type Job, joinJob, threadsOfRank } from './job.js';
export { endWithLauncher, launch } from './launch.js';
