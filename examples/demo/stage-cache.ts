/**
 * Stages that are done once. A stage's record holds the fingerprint of all that its result depends on, earlier stages
 * included, and the result. What a changed stage had made is removed; what an interrupted one had made is left to it,
 * to go on from.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface Stage<Result> {
  /** Of its record; unique. */
  readonly name: string;
  /** All that the result depends on besides earlier stages; JSON-serialisable. */
  readonly inputs: unknown;
  /** Files and folders that it makes, inside the cache's folder. No other stage writes there. */
  readonly outputs: readonly string[];
  /** Goes on from what it left in its outputs. Its result is JSON-serialisable. */
  run(): Promise<Result>;
}

export interface StageOutcome<Result> {
  readonly result: Result;
  /** Taken from an earlier run. */
  readonly isCached: boolean;
  /** Of work, in all sessions together. */
  readonly seconds: number;
}

interface StageRecord {
  readonly fingerprint: string;
  readonly isDone: boolean;
  readonly seconds: number;
  readonly result?: unknown;
}

/** Marks a folder as ours: nothing in another one is ever removed. */
const MARKER = 'facellm-demo.json';
const RECORDS = 'stages';

/** The folder cannot be used. */
export class FolderError extends Error {}

async function writeWhole(path: string, value: unknown): Promise<void> {
  await writeFile(`${path}.tmp`, `${JSON.stringify(value, null, 2)}\n`);
  await rename(`${path}.tmp`, path);
}

export class StageCache {
  readonly folder: string;
  readonly #version: string;
  #previous = '';

  private constructor(folder: string, version: string) {
    this.folder = folder;
    this.#version = version;
  }

  /**
   * @param version of the program; results of another one are not used
   * @throws FolderError if something else lies in the folder
   */
  static async open(folder: string, version: string): Promise<StageCache> {
    const marker = join(folder, MARKER);
    if (!existsSync(marker)) {
      const entries = existsSync(folder) ? await readdir(folder) : [];
      // A smoke test's folder may be there before the real run's.
      if (entries.some((entry) => entry !== 'quick')) {
        throw new FolderError(
          `${folder} holds other files (${entries.slice(0, 3).join(', ')}); name another folder by --output`,
        );
      }
      await mkdir(join(folder, RECORDS), { recursive: true });
      await writeWhole(marker, { format: 'facellm-demo-1' });
    }
    return new StageCache(folder, version);
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** Forgets all records: every stage starts over. */
  async clear(): Promise<void> {
    await rm(join(this.folder, RECORDS), { recursive: true, force: true });
  }

  /** Takes the result from the record, or runs the stage and records it. */
  async run<Result>(stage: Stage<Result>): Promise<StageOutcome<Result>> {
    const content = [this.#version, stage.name, stage.inputs, this.#previous];
    const fingerprint = createHash('sha256').update(JSON.stringify(content)).digest('hex');
    this.#previous = fingerprint;
    const record = await this.#read(stage.name);
    const isSame = record?.fingerprint === fingerprint;
    const hasOutputs = stage.outputs.every((name) => existsSync(this.path(name)));
    if (isSame && record.isDone && hasOutputs) {
      return { result: record.result as Result, isCached: true, seconds: record.seconds };
    }
    const isBegun = isSame && !record.isDone;
    if (!isBegun) {
      for (const name of stage.outputs) {
        await rm(this.path(name), { recursive: true, force: true });
      }
    }
    return this.#work(stage, fingerprint, isBegun ? record.seconds : 0);
  }

  async #work<Result>(
    stage: Stage<Result>,
    fingerprint: string,
    before: number,
  ): Promise<StageOutcome<Result>> {
    await this.#write(stage.name, { fingerprint, isDone: false, seconds: before });
    const startedAt = performance.now();
    const soFar = (): number => before + (performance.now() - startedAt) / 1000;
    try {
      const result = await stage.run();
      const seconds = soFar();
      await this.#write(stage.name, { fingerprint, isDone: true, seconds, result });
      return { result, isCached: false, seconds };
    } catch (error) {
      // A disk that is full must not hide what it made fail.
      await this.#write(stage.name, { fingerprint, isDone: false, seconds: soFar() }).catch(
        () => undefined,
      );
      throw error;
    }
  }

  /** A record that is torn or of another form counts as none. */
  async #read(name: string): Promise<StageRecord | undefined> {
    try {
      const value = JSON.parse(await readFile(this.#recordPath(name), 'utf8')) as StageRecord;
      return typeof value.fingerprint === 'string' ? value : undefined;
    } catch {
      return undefined;
    }
  }

  async #write(name: string, record: StageRecord): Promise<void> {
    await mkdir(join(this.folder, RECORDS), { recursive: true });
    await writeWhole(this.#recordPath(name), record);
  }

  #recordPath(name: string): string {
    return join(this.folder, RECORDS, `${name}.json`);
  }
}
