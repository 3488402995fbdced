/** Who holds a folder, and whether that process is still there. */
import { randomBytes } from 'node:crypto';
import { readFile, readlink } from 'node:fs/promises';
import { hostname } from 'node:os';

import { z } from 'zod';

export interface Owner {
  readonly host: string;
  /** Of the machine's start; '' where /proc does not tell. */
  readonly boot: string;
  /** Containers on one machine give different processes the same number. */
  readonly pidNamespace: string;
  readonly pid: number;
  /** Of the process, in ticks since the machine started; '' where /proc does not tell. */
  readonly startedAt: string;
  /** Tells two attempts of one process apart. */
  readonly token: string;
}

const ownerSchema: z.ZodType<Owner> = z.object({
  host: z.string(),
  boot: z.string().default(''),
  pidNamespace: z.string().default(''),
  pid: z.number(),
  startedAt: z.string(),
  token: z.string().regex(/^\w+$/),
});

/** A lock that cannot be read was torn when a machine failed: nobody holds it. */
export const TORN: Owner = {
  ...{ host: hostname(), boot: 'torn', pidNamespace: '', pid: 0, startedAt: '', token: 'torn' },
};

async function startOf(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The command, in parentheses, may hold anything; fields are counted from behind it.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

async function bootId(): Promise<string> {
  const id = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '');
  return id.trim();
}

export async function ownOwner(): Promise<Owner> {
  return {
    host: hostname(),
    boot: await bootId(),
    pidNamespace: await readlink('/proc/self/ns/pid').catch(() => ''),
    pid: process.pid,
    startedAt: await startOf(process.pid),
    token: randomBytes(8).toString('hex'),
  };
}

/** The owner that a file names; undefined if there is no such file. */
export async function readOwner(path: string): Promise<Owner | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
  try {
    return ownerSchema.parse(JSON.parse(text));
  } catch {
    return TORN;
  }
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: unknown }).code === 'EPERM';
  }
}

/** Whether that process can be seen from here at all: on this machine, in this container. */
export function isVisible(owner: Owner, own: Owner): boolean {
  const { host, pidNamespace } = owner;
  return host === own.host && (pidNamespace === '' || pidNamespace === own.pidNamespace);
}

/** A process that cannot be seen is believed to be alive, unless this machine was started since. */
export async function isAlive(owner: Owner, own: Owner): Promise<boolean> {
  const { host, boot, pid, startedAt } = owner;
  if (host === own.host && boot !== '' && boot !== own.boot) return false;
  if (!isVisible(owner, own)) return true;
  return exists(pid) && (await startOf(pid)) === startedAt;
}
