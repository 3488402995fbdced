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
  /** `DOUBLES`: a list of them, read as such by what reads Parquet. */
  readonly type: 'STRING' | 'DOUBLE' | 'INT32' | 'DOUBLES';
}

export type ParquetCell = string | number | readonly (number | null)[] | null;
export type ParquetRow = readonly ParquetCell[];

export interface ParquetFileOptions {
  /** In each group but the last. @default 8192 */
  readonly groupRows?: number;
  /** In the file's key-value metadata. @default none */
  readonly metadata?: Readonly<Record<string, string>>;
}

type SchemaElement = import('hyparquet').SchemaElement;

const GROUP_ROWS = 8192;

function elementsOf({ name, type }: ParquetColumn): readonly SchemaElement[] {
  const repetition_type = 'OPTIONAL' as const;
  if (type === 'DOUBLES') {
    return [
      { name, repetition_type, num_children: 1, converted_type: 'LIST' },
      { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
      { name: 'element', repetition_type, type: 'DOUBLE' },
    ];
  }
  if (type !== 'STRING') return [{ name, repetition_type, type }];
  return [{ name, repetition_type, type: 'BYTE_ARRAY', converted_type: 'UTF8' }];
}

/** Nothing is seen at `path` before `commit()`. */
export class ParquetFile {
  readonly #path: string;
  readonly #temporary: string;
  readonly #columns: readonly ParquetColumn[];
  readonly #writer: import('hyparquet-writer').ParquetWriter;
  readonly #groupRows: number;
  #rows: ParquetRow[] = [];

  private constructor(
    path: string,
    temporary: string,
    columns: readonly ParquetColumn[],
    writer: import('hyparquet-writer').ParquetWriter,
    groupRows: number,
  ) {
    this.#path = path;
    this.#temporary = temporary;
    this.#columns = columns;
    this.#writer = writer;
    this.#groupRows = groupRows;
  }

  /** @throws TrainingError FACELLM_RUN_WRITE */
  static async open(
    path: string,
    columns: readonly ParquetColumn[],
    { groupRows = GROUP_ROWS, metadata = {} }: ParquetFileOptions = {},
  ): Promise<ParquetFile> {
    const { fileWriter, ParquetWriter } = await loadParquetWriter();
    const temporary = temporaryPath(path);
    try {
      const schema = [
        { name: 'root', num_children: columns.length },
        ...columns.flatMap(elementsOf),
      ];
      const kvMetadata = Object.entries(metadata).map(([key, value]) => ({ key, value }));
      const writer = new ParquetWriter({ writer: fileWriter(temporary), schema, kvMetadata });
      return new ParquetFile(path, temporary, columns, writer, groupRows);
    } catch (cause) {
      throw runWriteError(path, cause);
    }
  }

  async write(row: ParquetRow): Promise<void> {
    this.#rows.push(row);
    if (this.#rows.length >= this.#groupRows) await this.#flush();
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
      const columnData = this.#columns.map(({ name }, i) => ({
        name,
        data: rows.map((row) => row[i] ?? null),
      }));
      await this.#writer.write({ columnData, rowGroupSize: this.#groupRows });
    } catch (cause) {
      throw runWriteError(this.#path, cause);
    }
  }
}
