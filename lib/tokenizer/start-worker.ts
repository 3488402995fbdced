/**
 * Starts a thread of this package. What it inherits is chosen here: by default Node hands every flag of the process
 * on and then refuses those that are the whole process's (V8's, --title, --report-on-fatalerror), so that a program
 * started with one could load no model.
 */
import { Worker } from 'node:worker_threads';

/** How modules are found and made, which is the same in a thread: tsx, Yarn's Plug'n'Play, source maps. */
const WITH_VALUE = new Set([
  ...['-r', '--require', '--import', '--loader', '--experimental-loader'],
  ...['-C', '--conditions', '--disable-warning'],
]);
const ALONE = new Set([
  ...['--preserve-symlinks', '--preserve-symlinks-main', '--enable-source-maps'],
  ...['--no-warnings', '--no-deprecation', '--trace-warnings', '--trace-deprecation'],
]);

/** Those of a process's flags that a thread of it takes. */
export function workerFlags(flags: readonly string[]): string[] {
  return flags.flatMap((flag, i) => {
    const [name = ''] = flag.split('=', 1);
    if (ALONE.has(flag)) return [flag];
    if (!WITH_VALUE.has(name)) return [];
    const value = flags[i + 1];
    if (flag !== name) return [flag];
    return value === undefined ? [] : [flag, value];
  });
}

/** @throws Error of Node, where the process may start no thread */
export function startWorker(file: URL, name: string, workerData: unknown): Worker {
  return new Worker(file, {
    name,
    workerData,
    argv: [],
    execArgv: workerFlags(process.execArgv),
    // `env` stays unset: that is a copy of the process's, whose NODE_OPTIONS Node then takes as far as a thread
    // can, and refuses nothing.
    stdin: false,
    stdout: false,
    stderr: false,
  });
}
