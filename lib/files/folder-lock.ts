/** One process a folder: two writers would tear each other's files. */
import { open, readFile, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';

import { z } from 'zod';

import { createError } from '../errors.js';

/** Who holds a folder. A process id alone is not enough: containers give each process the same one. */
interface Owner {
  readonly host: string;
  readonly pid: number;
  /** Of the process, in ticks since the machine started; '' where /proc does not tell. */
  readonly startedAt: string;
}

const ownerSchema = z.object({ host: z.string(), pid: z.number(), startedAt: z.string() });

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

async function take(path: string, output: string): Promise<void> {
  const own = { host: hostname(), pid: process.pid, startedAt: await startOf(process.pid) };
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      const file = await open(path, 'wx');
      await file.writeFile(JSON.stringify(own));
      await file.close();
      return;
    } catch (cause) {
      if ((cause as { code?: unknown }).code !== 'EEXIST') {
        throw createError('FACELLM_RUN_WRITE', `${path} cannot be written; check the folder`, {
          cause,
        });
      }
      const owner = await readOwner(path);
      if (owner !== undefined && (await isAlive(owner))) throw inUse(output, owner);
      await rm(path, { force: true });
    }
  }
  throw createError('FACELLM_RUN_INVALID', `${output} is being taken by other processes`);
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
