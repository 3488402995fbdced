/** Runs a build tool and turns what it prints into one line of progress: units done of all, and the time left. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

import { endProgress, showProgress } from './report.mjs';

/** Too early to extrapolate: the first units are the precompiled header and those that are small. */
const SECONDS_BEFORE_ESTIMATE = 15;

/** @param {number} seconds @returns {string} */
function about(seconds) {
  return seconds < 90
    ? `${Math.max(10, Math.ceil(seconds / 10) * 10)} s`
    : `${Math.round(seconds / 60)} min`;
}

/**
 * What a line of ninja (`[12/81] Building ...`) or make (`[ 15%] Building ...`) says of the whole build.
 *
 * @param {string} line
 * @param {number} seconds since the build began
 * @returns {string | undefined} undefined for any other line
 */
export function progressOf(line, seconds) {
  const found = /^\[ *(\d+)(?:\/(\d+)|%)\]/.exec(line);
  if (!found) return undefined;
  const [done, all] = [Number(found[1]), found[2] === undefined ? 100 : Number(found[2])];
  const share = done / all;
  const left =
    share > 0 && share < 1 && seconds >= SECONDS_BEFORE_ESTIMATE
      ? `, about ${about(seconds / share - seconds)} left`
      : '';
  return `compiling: ${found[2] === undefined ? `${done} %` : `${done} of ${all} units`}${left}`;
}

/**
 * @param {string} command
 * @param {readonly string[]} args
 * @param {string} cwd
 * @returns {Promise<{ status: number, output: string }>} all that it printed; the status is 1 where it cannot be run
 */
export function runBuild(command, args, cwd) {
  const startedAt = Date.now();
  const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  /** Apart, so that a message of several lines stays whole. @type {[string[], string[]]} */
  const printed = [[], []];
  for (const [index, stream] of [child.stdout, child.stderr].entries()) {
    createInterface({ input: stream }).on('line', (line) => {
      printed[index]?.push(line);
      const progress = progressOf(line, (Date.now() - startedAt) / 1000);
      if (progress !== undefined) showProgress(progress);
    });
  }
  return new Promise((resolve) => {
    const end = (/** @type {number} */ status) => {
      endProgress();
      resolve({ status, output: `${printed.flat().join('\n')}\n` });
    };
    child.on('error', (error) => {
      printed[1].push(`error: ${command} cannot be run: ${error.message}`);
      end(1);
    });
    child.on('close', (code) => end(code ?? 1));
  });
}

/**
 * The lines of a build's log that say why it failed: compilers' errors, and the whole text of CMake's.
 *
 * @param {string} output
 * @returns {string[]}
 */
export function reasonsOf(output) {
  const lines = output.split('\n');
  const reasons = lines.flatMap((line, index) => {
    if (!line.startsWith('CMake Error')) return /\berror\b|\bfatal\b/i.test(line) ? [line] : [];
    // The text stands below, indented and wrapped; the first line that is not indented ends it.
    const below = lines.slice(index + 1);
    const end = below.findIndex((text) => /^\S/.test(text));
    const text = below.slice(0, end === -1 ? undefined : end).map((one) => one.trim());
    return [text.filter((one) => one !== '').join(' ') || line];
  });
  return reasons.slice(0, 12);
}
