/**
 * `--processes N`: starts the ranks of a one-machine job with torchrun's variables, shows what they print,
 * passes signals on, and lets none outlive a rank that died. The ranks are sessions of their own, so that a
 * terminal's Ctrl-C reaches them once, through this process.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';

import { createError } from '../errors.js';

/** Set for processes that must end with their launcher: a text of that launch alone. */
const LAUNCHED = 'FACELLM_LAUNCHED';
/** Time for the others to notice, say why, and end; then they are killed. */
const GRACE_MS = 20_000;

export interface LaunchOptions {
  readonly processes: number;
  readonly program: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** What rank 0 prints: as it is, on this process's own streams, or marked like the others'. */
  readonly leaderOutput: 'inherit' | 'pipe';
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
}

interface Ending {
  readonly rank: number;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  if (address === null || typeof address === 'string') {
    throw createError('FACELLM_INTERNAL', 'the machine gave no port');
  }
  return address.port;
}

function start(rank: number, port: number, id: string, options: LaunchOptions): ChildProcess {
  const { processes, program, args, env } = options;
  const output = rank === 0 ? options.leaderOutput : 'pipe';
  const child = spawn(program, args, {
    detached: true,
    // Its stdin only tells when this process has ended.
    stdio: ['pipe', output, output],
    env: {
      ...env,
      RANK: String(rank),
      LOCAL_RANK: String(rank),
      WORLD_SIZE: String(processes),
      LOCAL_WORLD_SIZE: String(processes),
      MASTER_ADDR: '127.0.0.1',
      MASTER_PORT: String(port),
      [LAUNCHED]: id,
    },
  });
  const show = (from: NodeJS.ReadableStream | null, to: NodeJS.WritableStream): void => {
    if (from === null) return;
    createInterface({ input: from }).on('line', (line) => to.write(`[rank ${rank}] ${line}\n`));
  };
  show(child.stdout, options.stdout);
  show(child.stderr, options.stderr);
  return child;
}

function ending(child: ChildProcess, rank: number): Promise<Ending> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ rank, code, signal }));
  });
}

/** 0; 130 if all that ended otherwise were interrupted; a code that all agree on; else 1. */
function exitCodeOf(endings: readonly Ending[]): number {
  const failed = endings.filter(({ code }) => code !== 0);
  const [first] = failed;
  if (first === undefined) return 0;
  return first.code !== null && failed.every(({ code }) => code === first.code) ? first.code : 1;
}

/** Resolves to the job's exit code when every rank has ended. */
export async function launch(options: LaunchOptions): Promise<number> {
  const port = await freePort();
  const id = randomUUID();
  const children = Array.from({ length: options.processes }, (_, rank) =>
    start(rank, port, id, options),
  );
  const running = new Set(children);
  const signalAll = (signal: NodeJS.Signals): void => {
    for (const child of running) child.kill(signal);
  };
  const killAll = (): void => signalAll('SIGKILL');
  process.on('SIGINT', signalAll);
  process.on('SIGTERM', signalAll);
  process.on('exit', killAll);
  let grace: NodeJS.Timeout | undefined;
  try {
    const endings = await Promise.all(
      children.map(async (child, rank) => {
        const end = await ending(child, rank);
        running.delete(child);
        if (end.signal !== null) {
          options.stderr.write(`facellm: rank ${rank} was killed by ${end.signal}\n`);
        }
        if (end.code !== 0 && running.size > 0) grace ??= setTimeout(killAll, GRACE_MS);
        return end;
      }),
    );
    return exitCodeOf(endings);
  } finally {
    clearTimeout(grace);
    killAll();
    process.off('SIGINT', signalAll);
    process.off('SIGTERM', signalAll);
    process.off('exit', killAll);
  }
}

/** In a rank that {@link launch} started: the same for all ranks of the launch, another for each launch. */
export const launchId = (env: NodeJS.ProcessEnv): string | undefined => env[LAUNCHED];

/** Whether this process is a rank that {@link launch} started. */
export const isLaunched = (env: NodeJS.ProcessEnv): boolean => launchId(env) !== undefined;

/** In a rank: ends it when the launcher has gone without a word, which closes this rank's stdin. */
export function endWithLauncher(env: NodeJS.ProcessEnv): void {
  if (!isLaunched(env)) return;
  process.stdin.on('end', () => process.exit(1)).resume();
  // The pipe alone keeps no process alive.
  if ('unref' in process.stdin) process.stdin.unref();
}
