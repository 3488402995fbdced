/** A label file with its pictures: which rows can be used, and where their pictures lie. */
import { existingFolder } from '../../data/labels/image-folder.js';
import {
  findPictureRows,
  type PictureRow,
  type RowChecks,
  unusableRows,
} from '../../data/labels/picture-rows.js';
import { createError } from '../../errors.js';
import {
  findColumn,
  findLabelFile,
  type LabelFile,
  missingColumn,
  readLabelFile,
} from './label-file.js';
import type { DataOptions } from '../types.js';
import { filterRows, type RowFilterOptions } from './row-filter.js';

/** File names are relative to `data`; FairFace's published folders inside it are found too. */
export interface LabelledPicturesOptions
  extends Pick<DataOptions, 'data' | 'onInvalid'>, RowFilterOptions {
  /** Path of the CSV. @default labels.csv, fairface_label_val.csv or fairface_label_train.csv in `data` */
  readonly labels?: string | undefined;
  /**
   * Columns of the CSV by what they hold, such as `{ file: 'path', age: 'age_years' }`.
   * @default the name itself
   */
  readonly columns?: Readonly<Record<string, string>> | undefined;
}

export interface LabelledPictures<Layout> {
  readonly file: LabelFile;
  /** Where the file says what. */
  readonly layout: Layout;
  /** In the order of the CSV; never empty. */
  readonly pictures: readonly PictureRow[];
  /** Rows left out as faulty; 0 unless `onInvalid` is 'skip'. */
  readonly skipped: number;
}

/**
 * Reads the label file and looks for the pictures; nothing is decoded.
 *
 * @param place finds the columns
 * @param check of each row's cells
 * @throws DataError FACELLM_DATA_NOT_FOUND if folder or label file is absent; FACELLM_DATA_INVALID with one detail
 * per problem ("line 17: …"); with `onInvalid: 'skip'` the last only if no row is left
 */
export async function readLabelledPictures<Layout>(
  options: LabelledPicturesOptions,
  place: (file: LabelFile) => Layout,
  check: (layout: Layout) => RowChecks['check'] = () => () => [],
): Promise<LabelledPictures<Layout>> {
  const folder = await existingFolder(options.data, 'pictures');
  const file = await readLabelFile(options.labels ?? (await findLabelFile(folder)));
  const fileName = options.columns?.['file'] ?? 'file';
  const column = findColumn(file, [fileName]);
  if (column === -1) {
    throw createError(
      'FACELLM_DATA_INVALID',
      `${file.path}: ${missingColumn(file, fileName, 'the pictures')} (columns.file names another)`,
    );
  }
  const layout = place(file);
  const rows = filterRows(file, column, options);
  const checks = { column, noun: 'picture', check: check(layout) };
  const { usable: pictures, problems: found } = await findPictureRows(rows, folder, checks);
  const problems = [...file.problems, ...found];
  const count = rows.length + file.problems.length;
  if (pictures.length === 0 || (problems.length > 0 && options.onInvalid !== 'skip')) {
    throw unusableRows(file.path, count, problems);
  }
  return { file, layout, pictures, skipped: new Set(problems.map(({ line }) => line)).size };
}
