/** `--processes N`: this command again as N ranks of this machine. */
import { launch } from '../distributed/index.js';
import type { Console } from './output.js';

/** The command line of a rank. */
function withoutProcesses(args: readonly string[]): string[] {
  return args.filter((arg, i) => !/^--processes(=|$)/.test(arg) && args[i - 1] !== '--processes');
}

/**
 * Resolves to the exit code when every rank has ended.
 *
 * @param leaderOutput of rank 0: on this process's own streams, or marked like the others'
 */
export function launchRanks(
  processes: number,
  { stdout, stderr }: Console,
  leaderOutput: 'inherit' | 'pipe' = 'inherit',
): Promise<number> {
  return launch({
    ...{ processes, leaderOutput, stdout, stderr },
    program: process.execPath,
    args: [...process.execArgv, ...withoutProcesses(process.argv.slice(1))],
    env: process.env,
  });
}
