/** A repository's folder in the cache: what is there, where files gather, and the links that make a snapshot of them. */
import { copyFile, mkdir, rename, rm, stat, symlink } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';

import { findCommit, isCommit, kindOfPath } from '../checkpoint/index.js';
import { systemCode, syncFolder, temporaryPath, writeFileAtomic } from '../files/index.js';
import type { RemoteFile } from './hub-listing.js';
import { writeError } from './transfer.js';

export class RepositoryCache {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  blob({ hash }: RemoteFile): string {
    return join(this.folder, 'blobs', hash.hex);
  }

  /** Not Python's own name of what is half there: it may be writing into that now. */
  partial(file: RemoteFile): string {
    return `${this.blob(file)}.facellm.incomplete`;
  }

  snapshot(commit: string): string {
    return join(this.folder, 'snapshots', commit);
  }

  /** The snapshot of a revision as the cache knows it. */
  async find(revision: string): Promise<{ commit: string; directory: string } | undefined> {
    const commit = await findCommit(this.folder, revision);
    if (commit === undefined) return undefined;
    const directory = this.snapshot(commit);
    return (await kindOfPath(directory)) === 'folder' ? { commit, directory } : undefined;
  }

  /** Whether a file is there: in the snapshot, or its bytes, of which other commits may have links. */
  async has(file: RemoteFile, commit: string): Promise<{ isLinked: boolean; isHere: boolean }> {
    const isWhole = async (path: string): Promise<boolean> =>
      stat(path).then(
        (found) => found.isFile() && found.size === file.size,
        () => false,
      );
    const isLinked = await isWhole(join(this.snapshot(commit), file.path));
    return { isLinked, isHere: isLinked || (await isWhole(this.blob(file))) };
  }

  /** Bytes of a file that came before it was broken off. */
  async partialSize(file: RemoteFile): Promise<number> {
    return stat(this.partial(file)).then(
      ({ size }) => Math.min(size, file.size),
      () => 0,
    );
  }

  /** Nothing is left to do. */
  async isWhole(files: readonly RemoteFile[], commit: string, revision: string): Promise<boolean> {
    if ((await findCommit(this.folder, revision)) !== commit) return false;
    const states = await Promise.all(files.map((file) => this.has(file, commit)));
    return files.length > 0 && states.every(({ isLinked }) => isLinked);
  }

  /** Links all files at once when all are there, so that a snapshot that can be seen is whole. */
  async link(files: readonly RemoteFile[], commit: string): Promise<void> {
    for (const file of files) {
      if (!(await this.has(file, commit)).isLinked) await this.#linkOne(file, commit);
    }
    await syncFolder(join(this.folder, 'blobs'));
  }

  async #linkOne(file: RemoteFile, commit: string): Promise<void> {
    const path = join(this.snapshot(commit), file.path);
    const temporary = temporaryPath(path);
    try {
      await mkdir(dirname(path), { recursive: true });
      try {
        await symlink(relative(dirname(path), this.blob(file)), temporary);
      } catch (cause) {
        // Some file systems have no links; Python puts the files themselves there then.
        if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(systemCode(cause))) throw cause;
        await copyFile(this.blob(file), temporary);
      }
      await rename(temporary, path);
    } catch (cause) {
      await rm(temporary, { force: true });
      throw writeError(path, cause);
    }
  }

  /** What the revision's name stands for; last of all, so that an older snapshot is used until a newer one is whole. */
  async name(revision: string, commit: string): Promise<void> {
    if (isCommit(revision) || (await findCommit(this.folder, revision)) === commit) return;
    const path = join(this.folder, 'refs', revision);
    try {
      await mkdir(dirname(path), { recursive: true });
      await writeFileAtomic(path, commit);
    } catch (cause) {
      throw writeError(path, cause);
    }
  }
}
