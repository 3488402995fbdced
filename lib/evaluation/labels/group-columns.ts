/** What pictures are grouped by: columns of the label file, under the names of attributes where they are some. */
import { createError } from '../../errors.js';
import { withoutLookalikes } from '../../options/describe.js';
import { findColumn, type LabelFile, missingColumn } from './label-file.js';
import type { GroupColumn } from '../paired/groups.js';
import { builtInAttribute } from './built-in.js';
import type { AttributeDefinition } from './definition.js';

const USUAL_GROUPS = ['race', 'gender', 'age'];
/** Of items' tags: names that are no groups. */
const TAKEN_NAMES = ['attribute', 'pair'];

export interface PlacedGroup {
  readonly name: string;
  readonly column: number;
  /** Gives labels that mean the same one name, and groups an order; absent for other columns. */
  readonly definition: AttributeDefinition | undefined;
}

export interface GroupOptions {
  /** Names of attributes or of columns that pictures are grouped by. @default race, gender, age, as far as labelled */
  readonly groups?: readonly string[] | undefined;
  /** Columns by the names of attributes and groups. @default their usual names */
  readonly columns?: Readonly<Record<string, string>> | undefined;
}

/** Column of an attribute or group: as mapped, else its own names. */
export function columnOf(
  file: LabelFile,
  names: readonly string[],
  mapped: string | undefined,
): number {
  return findColumn(file, mapped === undefined ? names : [mapped]);
}

/** Whether any row says something in this column. */
export function isLabelled(file: LabelFile, column: number): boolean {
  return column !== -1 && file.rows.some(({ cells }) => cells[column] !== '');
}

/** Labels that look the same and would make two groups of one. */
function lookalikes({ rows }: LabelFile, { name, column }: PlacedGroup): string[] {
  const labels = new Set(rows.map(({ cells }) => cells[column] ?? ''));
  return [...labels].flatMap((label) => {
    const { plain, found } = withoutLookalikes(label);
    if (found.length === 0 || !labels.has(plain)) return [];
    return [`groups: ${name}: some cells say ${plain}, some the same with ${found.join(' and ')}`];
  });
}

/**
 * The groups with at least one label.
 *
 * @param definitions own attributes, which go before built-in ones of the same name
 * @param found what is wrong with other columns
 * @throws DataError FACELLM_DATA_INVALID listing that and columns that were asked for and are not there
 */
export function placeGroups(
  file: LabelFile,
  { groups, columns = {} }: GroupOptions,
  definitions: readonly AttributeDefinition[] = [],
  found: readonly string[] = [],
): readonly PlacedGroup[] {
  const problems = [...found];
  const placed = (groups ?? USUAL_GROUPS).map((name): PlacedGroup => {
    const definition = definitions.find((one) => one.name === name) ?? builtInAttribute(name);
    const column = columnOf(file, definition?.columns ?? [name], columns[name]);
    if (TAKEN_NAMES.includes(name)) problems.push(`groups: ${name} cannot be the name of a group`);
    else if (column === -1 && groups !== undefined) {
      problems.push(missingColumn(file, columns[name] ?? name, 'groups'));
    }
    return { name, column, definition };
  });
  const labelled = placed.filter(({ column }) => isLabelled(file, column));
  problems.push(...labelled.flatMap((group) => lookalikes(file, group)));
  if (problems.length === 0) return labelled;
  throw createError('FACELLM_DATA_INVALID', `${file.path}: the columns do not fit`, {
    details: problems,
  });
}

/** The groups that a picture is in, by their names; those that are not known are absent. */
export function groupsOf(
  placed: readonly PlacedGroup[],
  cells: readonly string[],
): Readonly<Record<string, string>> {
  const known = placed.flatMap(({ name, column, definition }) => {
    const label = cells[column] ?? '';
    const choice = definition?.choices.find(({ labels }) => labels.includes(label));
    return label === '' ? [] : [[name, choice?.labels[0] ?? label] as const];
  });
  return Object.fromEntries(known);
}

/** The groups as tables show them: values in the order of the choices. */
export function columnsOf(placed: readonly PlacedGroup[]): readonly GroupColumn[] {
  return placed.map(({ name, definition }) => ({
    name,
    order: definition?.choices.flatMap(({ labels }) => labels.slice(0, 1)) ?? [],
  }));
}
