/** Which groups a picture is in, and how it is labelled: columns of a CSV that names the files, or the folder that it lies in. */
import { createError } from '../errors.js';
import {
  builtInAttribute,
  findColumn,
  type LabelFile,
  missingColumn,
  readLabelFile,
} from '../evaluation/index.js';
import type { ClosedField } from './columns.js';

/** `folder`: the first folder of a picture's name. */
export type GroupsOption =
  | 'folder'
  | {
      /** CSV with a column `file`, of names as they are listed. */
      readonly file: string;
      /** Columns to tell apart. Those named as questions hold their labels, whether or not they stand here. */
      readonly columns: readonly string[];
    };

/** What is known of a picture. */
export interface Tags {
  /** Values by the names of groupings. */
  readonly groups: Readonly<Record<string, string>>;
  /** The right answer of a question, by its place among the choices; none where no label is known. */
  readonly labels: ReadonlyMap<string, number>;
}

export interface Grouping {
  of(file: string): Tags;
  /** Questions that have a column of labels, and whether their answers have an order. */
  readonly labelled: ReadonlyMap<string, { readonly isOrdinal: boolean }>;
  /** What of the labels was not taken. */
  readonly notes: readonly string[];
}

const NONE: Tags = { groups: {}, labels: new Map() };

/** A question's column, and which cell means which choice. */
interface Labels {
  readonly name: string;
  readonly place: number;
  readonly isOrdinal: boolean;
  readonly choices: ReadonlyMap<string, number>;
  /** Known, and no choice. */
  readonly ignored: readonly string[];
}

/** A built-in question knows its labels in other words, too; any other's are its choices. */
function labelsOf(field: ClosedField, file: LabelFile): readonly Labels[] {
  const { name, question, choices: texts } = field;
  const known = builtInAttribute(name);
  const isOwn = known?.question !== question;
  const place = findColumn(file, isOwn ? [name] : (known.columns ?? [name]));
  if (place === -1) return [];
  const choices = new Map(texts.map((text, i) => [text.toLowerCase(), i]));
  for (const [i, choice] of (isOwn ? [] : known.choices).entries()) {
    for (const label of choice.labels) choices.set(label.toLowerCase(), i);
  }
  const { isOrdinal = false, ignoredLabels: ignored = [] } = isOwn ? {} : known;
  return [{ name, place, isOrdinal: isOrdinal || field.values !== undefined, choices, ignored }];
}

const NAMED = 5;

/** Cells that mean nothing, a line a column. */
function unknownCells({ rows }: LabelFile, all: readonly Labels[]): string[] {
  return all.flatMap(({ name, place, choices, ignored }) => {
    const cells = rows.map(({ cells: row }) => (row[place] ?? '').trim());
    const unknown = cells.filter(
      (cell) => cell !== '' && !choices.has(cell.toLowerCase()) && !ignored.includes(cell),
    );
    if (unknown.length === 0) return [];
    const values = [...new Set(unknown)].slice(0, NAMED).join(', ');
    return [
      `${name}: ${unknown.length} label(s) are none of its answers and count nowhere: ${values}`,
    ];
  });
}

/**
 * @param fields what is asked
 * @throws DataError FACELLM_DATA_NOT_FOUND, FACELLM_DATA_INVALID listing every column that is not there
 */
export async function loadGroups(
  option: GroupsOption,
  fields: readonly ClosedField[],
): Promise<Grouping> {
  if (option === 'folder') {
    const of = (file: string): Tags => {
      const folder = file.includes('/') ? file.slice(0, file.indexOf('/')) : '.';
      return { groups: { folder }, labels: NONE.labels };
    };
    return { of, labelled: new Map(), notes: [] };
  }
  const file = await readLabelFile(option.file);
  const places = ['file', ...option.columns].map((name) => ({
    name,
    place: findColumn(file, [name]),
  }));
  const details = [
    ...file.problems.map(({ line, text }) => `line ${line}: ${text}`),
    ...places.flatMap(({ name, place }) =>
      place === -1 ? [missingColumn(file, name, 'the groups')] : [],
    ),
  ];
  if (details.length > 0) {
    throw createError('FACELLM_DATA_INVALID', `${option.file}: the groups cannot be read`, {
      details,
    });
  }
  const [names, ...columns] = places;
  const labelled = fields.flatMap((field) => labelsOf(field, file));
  const tags = new Map(
    file.rows.map(({ cells }): [string, Tags] => {
      const groups = columns.flatMap(({ name, place }) => {
        const value = cells[place] ?? '';
        return value === '' ? [] : [[name, value] as const];
      });
      const labels = labelled.flatMap(({ name, place, choices }) => {
        const choice = choices.get((cells[place] ?? '').trim().toLowerCase());
        return choice === undefined ? [] : [[name, choice] as const];
      });
      return [
        cells[names?.place ?? 0] ?? '',
        { groups: Object.fromEntries(groups), labels: new Map(labels) },
      ];
    }),
  );
  return {
    of: (name) => tags.get(name) ?? NONE,
    labelled: new Map(labelled.map(({ name, isOrdinal }) => [name, { isOrdinal }])),
    notes: unknownCells(file, labelled),
  };
}
