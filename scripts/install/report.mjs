/** What install steps print, and how they fail. Plain JavaScript: it runs before anything is built. */
import { openSync, writeSync } from 'node:fs';

/** A failure with a stable code (docs/errors.md); `details` lists what each step found. */
export class InstallError extends Error {
  /**
   * @param {'FACELLM_LIBTORCH_NOT_FOUND' | 'FACELLM_BUILD_FAILED'} code
   * @param {string} message
   * @param {readonly string[]} [details]
   */
  constructor(code, message, details = []) {
    super(message);
    this.code = code;
    this.details = details;
  }
}

/** Between two lines of progress where a line cannot be rewritten. */
const QUIET_MS = 10_000;
let isLineOpen = false;
let saidAt = 0;

/**
 * npm hides what install scripts print. Minutes of silence look like a fault: where a person sits at a
 * terminal, it is told there, unless npm was asked to be silent.
 *
 * @returns {number | undefined} the terminal's file descriptor
 */
function hiddenTerminal() {
  const { npm_lifecycle_event: event, npm_config_loglevel: level } = process.env;
  if (event !== 'install' || process.stderr.isTTY || level === 'silent') return undefined;
  try {
    return openSync('/dev/tty', 'w');
  } catch {
    return undefined; // no terminal, as in CI
  }
}
const terminal = hiddenTerminal();

/** @param {string} text */
function write(text) {
  process.stderr.write(text);
  // npm's spinner stands on the line: it is overwritten, and redrawn by npm below ours.
  if (terminal !== undefined) writeSync(terminal, `\r\x1b[K${text}`);
}

/** @param {string} line */
export function say(line) {
  endProgress();
  write(`facellm: ${line}\n`);
}

/**
 * Shows how far something is: rewritten in place on a terminal, else a line every ten seconds.
 *
 * @param {string} text
 */
export function showProgress(text) {
  if (process.stderr.isTTY) {
    process.stderr.write(`\r\x1b[Kfacellm: ${text}`);
    isLineOpen = true;
  } else if (Date.now() - saidAt >= QUIET_MS) {
    saidAt = Date.now();
    write(`facellm: ${text}\n`);
  }
}

export function endProgress() {
  if (isLineOpen) process.stderr.write('\r\x1b[K');
  isLineOpen = false;
}

/** @param {unknown} error */
export function sayError(error) {
  if (error instanceof InstallError) {
    say(error.message);
    for (const detail of error.details) write(`  - ${detail}\n`);
    write(`  (${error.code}, see docs/errors.md)\n`);
  } else {
    say(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
}
