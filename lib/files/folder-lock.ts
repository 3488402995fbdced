/**
 * One process a folder: two writers would tear each other's files.
 *
 * A lock is a folder `run.lock` that holds its owner's name. It is made beside and renamed: a rename onto a folder
 * that is not empty fails, so it appears whole and once, on file systems without hard links, too. The lock of a dead
 * process is never removed by those who wait, since one of them might remove the lock of another who was quicker;
 * instead the next owner's is named after it, `run.lock.after-TOKEN`, which again only one can make. The last of this
 * chain holds the folder. Whoever gives the folder back removes `run.lock` first and what follows it then; who has
 * made a link meanwhile sees that its beginning is gone, and starts anew.
 */
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

import { createError, FaceLlmError } from '../errors.js';
import { isAlive, isVisible, type Owner, ownOwner, readOwner, TORN } from './lock-owner.js';

const LOCK = 'run.lock';
const OWNER = 'owner.json';

/** Folders held by this process. */
const held = new Set<string>();

/**
 * Takes the folder, or goes on after an owner whose process is gone.
 *
 * @returns a function that gives it back
 * @throws TrainingError FACELLM_RUN_INVALID while another process works there, FACELLM_RUN_WRITE
 */
export async function lockFolder(output: string): Promise<() => Promise<void>> {
  const root = resolve(output, LOCK);
  if (held.has(root)) {
    throw createError(
      'FACELLM_RUN_INVALID',
      `${output} is in use by another run of this process; wait for it, or name another folder`,
    );
  }
  held.add(root);
  try {
    const own = await ownOwner();
    const chain = await takeAtLast(root, own, output);
    return async () => {
      await giveBack(chain, own);
      held.delete(root);
    };
  } catch (cause) {
    held.delete(root);
    if (cause instanceof FaceLlmError) throw cause;
    throw createError('FACELLM_RUN_WRITE', `${root} cannot be written; check the folder`, {
      cause,
    });
  }
}

const linkAfter = (root: string, { token }: Owner): string => `${root}.after-${token}`;
const candidateOf = (root: string, { token }: Owner): string => `${root}.new-${token}`;

async function ownerOf(lock: string): Promise<Owner | undefined> {
  // A file instead of a folder: an earlier version's.
  return (await readOwner(join(lock, OWNER))) ?? (await readFileLock(lock));
}

async function readFileLock(lock: string): Promise<Owner | undefined> {
  try {
    return await readOwner(lock);
  } catch (error) {
    // A folder without an owner in it is about to be given back.
    if ((error as { code?: unknown }).code === 'EISDIR') return undefined;
    throw error;
  }
}

/** A chain that changes while it is read is read again: others are quicker, which ends. */
const MOST_TRIES = 200;

async function takeAtLast(root: string, own: Owner, output: string): Promise<string[]> {
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const chain = await take(root, own, output);
    if (chain !== undefined) return chain;
  }
  throw createError(
    'FACELLM_RUN_INVALID',
    `${root} is there and names no process that holds it; remove it if nothing works in ${output}`,
  );
}

/** Makes own the last of the chain, which is the result; undefined if the chain changed meanwhile. */
async function take(root: string, own: Owner, output: string): Promise<string[] | undefined> {
  const chain = [root];
  let [lock, first]: [string, Owner | undefined] = [root, undefined];
  for (let owner = await ownerOf(lock); owner !== undefined; owner = await ownerOf(lock)) {
    if (await isAlive(owner, own)) throw inUse(output, owner, own);
    first ??= owner;
    lock = linkAfter(root, owner);
    chain.push(lock);
  }
  if (!(await appear(lock, root, own))) return undefined;
  if (lock === root || (await ownerOf(root))?.token === first?.token) return chain;
  await remove(lock, `${root}.old-${own.token}`);
  return undefined;
}

/** A folder that is emptied in its place could be taken for a free one: it goes away first. */
async function remove(path: string, away: string): Promise<void> {
  try {
    await rename(path, away);
  } catch (error) {
    // Removed by hand.
    if ((error as { code?: unknown }).code === 'ENOENT') return;
    throw error;
  }
  await rm(away, { recursive: true, force: true });
}

/** Makes the lock with its owner in it, or finds one there. */
async function appear(lock: string, root: string, own: Owner): Promise<boolean> {
  const candidate = candidateOf(root, own);
  try {
    await mkdir(candidate);
    const file = await open(join(candidate, OWNER), 'wx');
    try {
      await file.writeFile(JSON.stringify(own));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(candidate, lock);
    return true;
  } catch (error) {
    await rm(candidate, { recursive: true, force: true });
    const { code } = error as { code?: unknown };
    if (code === 'EEXIST' || code === 'ENOTEMPTY') return false;
    // So Windows says it of a folder that is there, and all of a file.
    const isThere = code === 'EPERM' || code === 'ENOTDIR';
    if (isThere && (await ownerOf(lock)) !== undefined) return false;
    throw error;
  }
}

/** What crashes left behind goes while the folder is still held, then the chain from its beginning. */
async function giveBack(chain: readonly string[], own: Owner): Promise<void> {
  const [root = ''] = chain;
  const folder = dirname(root);
  for (const name of await readdir(folder).catch(() => [])) {
    const path = join(folder, name);
    if (!name.startsWith(`${LOCK}.`) || chain.includes(path)) continue;
    // Renamed away by its owner, and nobody's since; a kill left it there, with or without a name in it.
    if (name.startsWith(`${LOCK}.old-`)) {
      await rm(path, { recursive: true, force: true }).catch(() => undefined);
      continue;
    }
    const owner = await ownerOf(path);
    // The living are about to take the folder, have just failed to, or have not written their names yet.
    const isUnwritten = owner === undefined || owner.token === TORN.token;
    if (isUnwritten || (await isAlive(owner, own))) continue;
    await rm(path, { recursive: true, force: true });
  }
  for (const [i, lock] of chain.entries()) await remove(lock, `${root}.old-${own.token}-${i}`);
}

function inUse(output: string, owner: Owner, own: Owner): Error {
  const { host, pid } = owner;
  const where =
    host === own.host && !isVisible(owner, own) ? `${host}, in another container` : host;
  const remedy = isVisible(owner, own)
    ? 'wait for it, or name another folder'
    : `if it has ended, remove ${join(output, LOCK)} and what is called ${LOCK}.*`;
  return createError(
    'FACELLM_RUN_INVALID',
    `${output} is in use by process ${pid} of ${where}; ${remedy}`,
  );
}
