/** One process a folder: two writers would tear each other's files. */
import { randomBytes } from 'node:crypto';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { z } from 'zod';

import { createError, FaceLlmError } from '../errors.js';

/** Who holds a folder. A process id alone is not enough: containers give each process the same one. */
interface Owner {
  readonly host: string;
  readonly pid: number;
  /** Of the process, in ticks since the machine started; '' where /proc does not tell. */
  readonly startedAt: string;
  /** Tells two attempts of one process apart. */
  readonly token: string;
}

const ownerSchema = z.object({
  host: z.string(),
  pid: z.number(),
  startedAt: z.string(),
  token: z.string(),
});

/** Folders held by this process. */
const held = new Set<string>();

async function startOf(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The command, in parentheses, may hold anything; fields are counted from behind it.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: unknown }).code === 'EPERM';
  }
}

/** A lock that cannot be read was torn by a crash: nobody holds it. */
async function readOwner(path: string): Promise<Owner | undefined> {
  try {
    return ownerSchema.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch {
    return undefined;
  }
}

async function isAlive(owner: Owner): Promise<boolean> {
  // Another machine's processes cannot be seen from here.
  if (owner.host !== hostname()) return true;
  return exists(owner.pid) && (await startOf(owner.pid)) === owner.startedAt;
}

/**
 * Takes the folder, or a lock whose process is gone.
 *
 * @returns a function that gives it back
 * @throws TrainingError FACELLM_RUN_INVALID while another process works there, FACELLM_RUN_WRITE
 */
export async function lockFolder(output: string): Promise<() => Promise<void>> {
  const path = resolve(output, 'run.lock');
  if (held.has(path)) {
    throw createError(
      'FACELLM_RUN_INVALID',
      `${output} is in use by another run of this process; wait for it, or name another folder`,
    );
  }
  held.add(path);
  try {
    await take(path, output);
  } catch (error) {
    held.delete(path);
    throw error;
  }
  return async () => {
    await rm(path, { force: true });
    held.delete(path);
  };
}

/** Between taking over a dead process's lock and trusting it: others may have seen the same dead lock. */
const SETTLE_MS = 200;

async function take(path: string, output: string): Promise<void> {
  const own: Owner = {
    ...{ host: hostname(), pid: process.pid, startedAt: await startOf(process.pid) },
    token: randomBytes(8).toString('hex'),
  };
  const candidate = `${path}.${own.token}`;
  try {
    await writeFile(candidate, JSON.stringify(own), { flag: 'wx' });
    // A link appears with its content, and fails where there is one already.
    if (await isLinked(candidate, path)) return;
    const owner = await readOwner(path);
    if (owner !== undefined && (await isAlive(owner))) throw inUse(output, owner);
    await rename(candidate, path);
    await delay(SETTLE_MS);
    const winner = await readOwner(path);
    if (winner?.token !== own.token) throw inUse(output, winner ?? own);
  } catch (cause) {
    if (cause instanceof FaceLlmError) throw cause;
    throw createError('FACELLM_RUN_WRITE', `${path} cannot be written; check the folder`, {
      cause,
    });
  } finally {
    await rm(candidate, { force: true });
  }
}

async function isLinked(candidate: string, path: string): Promise<boolean> {
  try {
    await link(candidate, path);
    return true;
  } catch (error) {
    if ((error as { code?: unknown }).code === 'EEXIST') return false;
    throw error;
  }
}

function inUse(output: string, { host, pid }: Owner): Error {
  const remedy =
    host === hostname()
      ? 'wait for it, or name another folder'
      : `if that machine has stopped, remove ${join(output, 'run.lock')}`;
  return createError(
    'FACELLM_RUN_INVALID',
    `${output} is in use by process ${pid} of ${host}; ${remedy}`,
  );
}
