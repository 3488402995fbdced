/** Jobs of several processes: who this process is, its peers, and starting them on one machine. */
export { type JobEnvironment, readJobEnvironment } from './environment.js';
export { deviceOfRank, type Job, joinJob, threadsOfRank } from './job.js';
export { endWithLauncher, isLaunched, launch, launchId } from './launch.js';
