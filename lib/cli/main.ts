#!/usr/bin/env node
/** The command line's process: runs the program. Exit codes: 0, 1 failure, 2 usage, 130 interrupted. */
import { CommanderError } from 'commander';

import { createProgram } from './program.js';

/** Runs the command line and returns the exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  let code = 0;
  try {
    await createProgram((result) => (code = result)).parseAsync(argv);
    return code;
  } catch (error) {
    // Help and version end with code 0; commander has already printed whatever there is to say.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const { describeError } = await import('./output.js');
    if (error instanceof Error && error.name === 'Interrupted') return 130;
    process.stderr.write(`${describeError(error)}\n`);
    const codeOf = (error as { code?: unknown } | null)?.code;
    return codeOf === 'FACELLM_INVALID_ARGUMENT' ? 2 : 1;
  }
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // A reader that goes away (`| head`) is no failure; a full disk is one.
  if (error.code === 'EPIPE') process.exit(0);
  const reason = error.code === 'ENOSPC' ? 'no space is left on its device' : error.message;
  process.stderr.write(`facellm: the output cannot be written: ${reason}\n`);
  process.exit(1);
});
// There is no one left to tell.
process.stderr.on('error', () => undefined);
process.exitCode = await main(process.argv);
