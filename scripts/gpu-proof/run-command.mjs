/** A command of a part: ended, with all that it started, when its time is over; its output in the log and line by line. */
import { spawn } from 'node:child_process';
import { appendFileSync } from 'node:fs';

/** After this many seconds of asking, what still runs is killed. */
const GRACE_S = 3;
const TAIL_LINES = 15;

/**
 * @typedef {object} Outcome
 * @property {boolean} ok
 * @property {string} why '' where it is well
 * @property {number} seconds
 * @property {string[]} tail last lines of output
 */

/** Groups of processes that run now; ended when this process is. @type {Set<number>} */
const running = new Set();

export function endAll() {
  for (const pid of running) end(pid, 'SIGKILL');
}

/** @param {number} pid @param {NodeJS.Signals} signal */
function end(pid, signal) {
  try {
    process.kill(-pid, signal);
  } catch {
    // It has ended by itself.
  }
}

/**
 * @param {readonly string[]} command program and arguments
 * @param {{ cwd: string, env: NodeJS.ProcessEnv, limitS: number, log: string, onLine?: (line: string) => void }} options
 * @returns {Promise<Outcome>}
 */
export function runCommand([program = '', ...args], { cwd, env, limitS, log, onLine }) {
  const start = performance.now();
  appendFileSync(log, `\n$ ${program.split('/').at(-1)} ${args.join(' ')}\n`);
  /** @type {string[]} */
  const tail = [];
  return new Promise((resolve) => {
    // A group of its own, so that compilers and workers end with it.
    const child = spawn(program, args, {
      cwd,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    const { pid } = child;
    if (pid !== undefined) running.add(pid);
    let isLate = false;
    const late = setTimeout(() => {
      isLate = true;
      if (pid !== undefined) end(pid, 'SIGTERM');
    }, limitS * 1000);
    const last = setTimeout(
      () => pid !== undefined && end(pid, 'SIGKILL'),
      (limitS + GRACE_S) * 1000,
    );
    for (const stream of [child.stdout, child.stderr]) {
      let rest = '';
      stream.setEncoding('utf8').on('data', (chunk) => {
        appendFileSync(log, chunk);
        const lines = (rest + chunk).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) {
          onLine?.(line);
          if (line.trim() !== '') tail.push(line);
        }
        tail.splice(0, tail.length - TAIL_LINES);
      });
      stream.on('end', () => {
        if (rest !== '') onLine?.(rest);
      });
    }
    /** @param {string} why */
    const finish = (why) => {
      clearTimeout(late);
      clearTimeout(last);
      if (pid !== undefined) {
        running.delete(pid);
        end(pid, 'SIGKILL'); // what it left behind
      }
      const seconds = (performance.now() - start) / 1000;
      resolve({ ok: why === '', why, seconds, tail });
    };
    child.on('error', (error) => finish(`${program} cannot be run: ${error.message}`));
    child.on('close', (status, signal) => {
      if (isLate) finish(`not done within ${Math.round(limitS)} s`);
      else finish(status === 0 ? '' : `ended with ${signal ?? `status ${status}`}`);
    });
  });
}
