/**
 * The dataset as one Parquet file, written row group by row group. Loaded only when a run writes its
 * files.
 */
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

import { loadParquetWriter } from '../../packages/parquet.js';
import { runWriteError, syncFolder, temporaryPath } from '../../files/index.js';

/** A column's values in the rows of one group. */
export interface ParquetColumn {
  readonly name: string;
  readonly type: 'STRING' | 'DOUBLE' | 'INT32';
}

export type ParquetRow = readonly (string | number | null)[];

const GROUP_ROWS = 8192;

/** Nothing is seen at `path` before `commit()`. */
export class ParquetFile {
  readonly #path: string;
  readonly #temporary: string;
  readonly #columns: readonly ParquetColumn[];
  readonly #writer: import('hyparquet-writer').ParquetWriter;
  #rows: ParquetRow[] = [];

  private constructor(
    path: string,
    temporary: string,
    columns: readonly ParquetColumn[],
    writer: import('hyparquet-writer').ParquetWriter,
  ) {
    this.#path = path;
    this.#temporary = temporary;
    this.#columns = columns;
    this.#writer = writer;
  }

  /** @throws TrainingError FACELLM_RUN_WRITE */
  static async open(path: string, columns: readonly ParquetColumn[]): Promise<ParquetFile> {
    const { fileWriter, ParquetWriter } = await loadParquetWriter();
    const temporary = temporaryPath(path);
    try {
      const schema = [
        { name: 'root', num_children: columns.length },
        ...columns.map(({ name, type }) => ({
          name,
          type: type === 'STRING' ? ('BYTE_ARRAY' as const) : type,
          repetition_type: 'OPTIONAL' as const,
          ...(type === 'STRING' ? { converted_type: 'UTF8' as const } : {}),
        })),
      ];
      const writer = new ParquetWriter({ writer: fileWriter(temporary), schema });
      return new ParquetFile(path, temporary, columns, writer);
    } catch (cause) {
      throw runWriteError(path, cause);
    }
  }

  async write(row: ParquetRow): Promise<void> {
    this.#rows.push(row);
    if (this.#rows.length >= GROUP_ROWS) await this.#flush();
  }

  async commit(): Promise<void> {
    await this.#flush();
    try {
      await this.#writer.finish();
      const handle = await open(this.#temporary, 'r+');
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(this.#temporary, this.#path);
      await syncFolder(dirname(this.#path));
    } catch (cause) {
      await this.discard();
      throw runWriteError(this.#path, cause);
    }
  }

  /** Never rejects; after `commit()` it does nothing. */
  async discard(): Promise<void> {
    await rm(this.#temporary, { force: true }).catch(() => {});
  }

  async #flush(): Promise<void> {
    const rows = this.#rows;
    if (rows.length === 0) return;
    this.#rows = [];
    try {
      const columnData = this.#columns.map(({ name, type }, i) => ({
        name,
        type,
        data: rows.map((row) => row[i] ?? null),
      }));
      await this.#writer.write({ columnData, rowGroupSize: GROUP_ROWS });
    } catch (cause) {
      throw runWriteError(this.#path, cause);
    }
  }
}
