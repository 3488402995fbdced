/** Which groups a picture is in: columns of a CSV that names the files, or the folder that it lies in. */
import { createError } from '../errors.js';
import { findColumn, missingColumn, readLabelFile } from '../evaluation/index.js';

/** `folder`: the first folder of a picture's name. */
export type GroupsOption =
  | 'folder'
  | {
      /** CSV with a column `file`, of names as they are listed. */
      readonly file: string;
      /** Columns to tell apart. */
      readonly columns: readonly string[];
    };

/** Values by the names of groupings; none of a picture that nothing is known of. */
export type GroupsOf = (file: string) => Readonly<Record<string, string>>;

/** @throws DataError FACELLM_DATA_NOT_FOUND, FACELLM_DATA_INVALID listing every column that is not there */
export async function loadGroups(option: GroupsOption): Promise<GroupsOf> {
  if (option === 'folder') {
    return (file) => ({ folder: file.includes('/') ? file.slice(0, file.indexOf('/')) : '.' });
  }
  const labels = await readLabelFile(option.file);
  const places = ['file', ...option.columns].map((name) => ({
    name,
    place: findColumn(labels, [name]),
  }));
  const details = [
    ...labels.problems.map(({ line, text }) => `line ${line}: ${text}`),
    ...places.flatMap(({ name, place }) =>
      place === -1 ? [missingColumn(labels, name, 'the groups')] : [],
    ),
  ];
  if (details.length > 0) {
    throw createError('FACELLM_DATA_INVALID', `${option.file}: the groups cannot be read`, {
      details,
    });
  }
  const [file, ...columns] = places;
  const known = new Map(
    labels.rows.map(({ cells }) => [
      cells[file?.place ?? 0] ?? '',
      columns.map(({ place }) => cells[place] ?? ''),
    ]),
  );
  return (name) => {
    const values = known.get(name) ?? [];
    const told = columns.flatMap(({ name: column }, i) => {
      const value = values[i] ?? '';
      return value === '' ? [] : [[column, value] as const];
    });
    return Object.fromEntries(told);
  };
}
