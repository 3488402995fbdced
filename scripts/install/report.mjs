/** What install steps print, and how they fail. Plain JavaScript: it runs before anything is built. */

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

/** @param {string} line */
export function say(line) {
  process.stderr.write(`facellm: ${line}\n`);
}

/** @param {unknown} error */
export function sayError(error) {
  if (error instanceof InstallError) {
    say(error.message);
    for (const detail of error.details) process.stderr.write(`  - ${detail}\n`);
    process.stderr.write(`  (${error.code}, see docs/errors.md)\n`);
  } else {
    say(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
}
