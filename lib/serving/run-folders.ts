/**
 * Folders of training runs below those that a server was started with. Others write into them: they are read, never locked or
 * changed, and nothing is opened but a log that lies where its name says, whatever links say.
 */
import { constants } from 'node:fs';
import { type FileHandle, open, readdir, readlink, realpath, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { createError } from '../errors.js';
import { lastJournalEntry, systemCode } from '../files/index.js';

/** LLaMA-Factory's name, which training here keeps to. */
export const LOG_NAME = 'trainer_log.jsonl';

/** Of one folder that was named; what is beyond is not listed. */
const MOST_FOLDERS = 2000;

/** A run as lists tell it. */
export interface ListedRun {
  /** The named folder's own name, and after a slash the sub-folder's. */
  readonly id: string;
  readonly object: 'facellm.run';
  /** Of the last record; null before the first. */
  readonly step: number | null;
  readonly total_steps: number | null;
  /** Seconds since 1970 of the last write. */
  readonly updated_at: number;
}

const numberOf = (value: unknown): number | null => (typeof value === 'number' ? value : null);

export class RunFolders {
  /** Real paths by their own names. */
  readonly #roots: ReadonlyMap<string, string>;

  private constructor(roots: ReadonlyMap<string, string>) {
    this.#roots = roots;
  }

  /** @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT listing every folder that is none, and names that mean two */
  static async open(folders: readonly string[]): Promise<RunFolders> {
    const roots = new Map<string, string>();
    const details: string[] = [];
    for (const folder of folders) {
      try {
        const path = await realpath(folder);
        const name = basename(path);
        if (!(await stat(path)).isDirectory()) details.push(`runs: ${folder}: expected a folder`);
        else if (name === '') details.push('runs: expected a folder with a name, not the root');
        else if ((roots.get(name) ?? path) !== path) {
          details.push(`runs: ${folder}: another folder is named ${name}, too; rename one`);
        } else roots.set(name, path);
      } catch (cause) {
        details.push(
          `runs: ${folder}: expected a folder (${systemCode(cause)}); make it before the server starts`,
        );
      }
    }
    if (details.length > 0) {
      throw createError('FACELLM_INVALID_ARGUMENT', 'the server cannot be started so', { details });
    }
    return new RunFolders(roots);
  }

  /** Those with a log, the one written last first. */
  async list(): Promise<ListedRun[]> {
    const runs: ListedRun[] = [];
    for (const [name, root] of this.#roots) {
      const entries = await readdir(root, { withFileTypes: true }).catch(() => []);
      const folders = entries.filter((entry) => entry.isDirectory()).slice(0, MOST_FOLDERS);
      for (const id of [name, ...folders.map((folder) => `${name}/${folder.name}`)]) {
        const run = await this.#describe(id).catch(() => undefined);
        if (run !== undefined) runs.push(run);
      }
    }
    return runs.sort((a, b) => b.updated_at - a.updated_at);
  }

  /** Where a run lies; undefined for one without a log, as {@link openLog} has it. */
  async folderOf(id: string): Promise<string | undefined> {
    await using log = await this.openLog(id);
    return log === undefined ? undefined : this.#placeOf(id);
  }

  /** The log of a run, to read; undefined where there is none, or it lies elsewhere than its name says. */
  async openLog(id: string): Promise<FileHandle | undefined> {
    const place = this.#placeOf(id);
    if (place === undefined) return undefined;
    const path = join(place, LOG_NAME);
    let handle: FileHandle | undefined;
    try {
      // A pipe of that name is opened without waiting for its writer.
      const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
      handle = await open(path, flags);
      // Of what is open the system tells the place: a link on the way, even one made this moment, shows.
      const isThere = (await readlink(`/proc/self/fd/${handle.fd}`)) === path;
      if (isThere && (await handle.stat()).isFile()) return handle;
    } catch {
      // Absent and unreadable look the same.
    }
    await handle?.close();
    return undefined;
  }

  /** Where a run of this id would lie; undefined for what cannot be the id of one. */
  #placeOf(id: string): string | undefined {
    const [name = '', child, ...others] = id.split('/');
    const root = this.#roots.get(name);
    if (root === undefined || others.length > 0) return undefined;
    if (child !== undefined && (/^\.|^$/.test(child) || child.includes('\0'))) return undefined;
    return join(root, child ?? '');
  }

  async #describe(id: string): Promise<ListedRun | undefined> {
    await using handle = await this.openLog(id);
    if (handle === undefined) return undefined;
    const { mtimeMs } = await handle.stat();
    const last = await lastJournalEntry(handle);
    return {
      ...{ id, object: 'facellm.run' },
      step: numberOf(last?.['current_steps']),
      total_steps: numberOf(last?.['total_steps']),
      updated_at: Math.floor(mtimeMs / 1000),
    };
  }
}
