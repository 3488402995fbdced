/** What a part of the proof is, and how one is run: it passes, fails or is left out, and never keeps the next from running. */
import { runCommand } from './run-command.mjs';

/**
 * @typedef {object} Context
 * @property {string} root the source tree
 * @property {string} log
 * @property {NodeJS.ProcessEnv} env
 * @property {string} models folder for checkpoints that are made
 * @property {import('./report.mjs').Findings} findings
 * @property {() => void} save writes what was found so far
 */

/**
 * @typedef {object} Part
 * @property {string} name
 * @property {string} title
 * @property {number} limitS of eight minutes
 * @property {number} reserveS of eight minutes
 * @property {(context: Context, limitS: number) => Promise<string[]>} run gives notes; throws where it fails, {@link Skip}
 *   where it cannot be
 */

/** Why a part is left out. */
export class Skip extends Error {}

export class PartError extends Error {
  /** @param {string} message @param {readonly string[]} tail */
  constructor(message, tail) {
    super(message);
    this.tail = tail;
  }
}

/**
 * A command that must end well.
 *
 * @param {Context} context @param {readonly string[]} command @param {number} limitS
 * @param {{ env?: NodeJS.ProcessEnv, onLine?: (line: string) => void }} [options]
 */
export async function must({ root, log, env }, command, limitS, { env: own = {}, onLine } = {}) {
  const outcome = await runCommand(command, {
    ...{ cwd: root, env: { ...env, ...own }, limitS, log },
    ...(onLine && { onLine }),
  });
  if (!outcome.ok) throw new PartError(outcome.why, outcome.tail);
  return outcome;
}

/**
 * @param {Part} part @param {Context} context @param {number} limitS 0: no time is left
 * @returns {Promise<import('./report.mjs').PartResult>}
 */
export async function runPart({ name, title, run }, context, limitS) {
  const start = performance.now();
  /** @param {'passed' | 'failed' | 'skipped'} status @param {Partial<import('./report.mjs').PartResult>} rest */
  const result = (status, rest) => ({
    ...{ name, title, status, why: '', notes: [], tail: [] },
    ...{ seconds: (performance.now() - start) / 1000, ...rest },
  });
  if (limitS === 0) return result('skipped', { why: 'no time left' });
  try {
    return result('passed', { notes: await run(context, limitS) });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    if (error instanceof Skip) return result('skipped', { why });
    return result('failed', { why, tail: error instanceof PartError ? [...error.tail] : [] });
  }
}
