/** What this room takes over from training runs: logs that survive a crash, whole files, locks. */
export { formatDuration } from '../../training/run/duration.js';
export { AppendLog, type LogEntry, writeFileAtomic } from '../../training/run/index.js';
export { lockRun } from '../../training/run-lock.js';
