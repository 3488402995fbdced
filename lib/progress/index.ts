/** What people see of work that takes a while: one line, durations, time left. */
export { formatDuration, formatLeft } from './duration.js';
export { StatusLine, type StatusLineOptions } from './status-line.js';
