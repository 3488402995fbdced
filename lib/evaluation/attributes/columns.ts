/** Where a label file says what each attribute and each group is, and what its cells mean. */
import { didYouMean, received } from '../../data/describe.js';
import { createError } from '../../errors.js';
import { type CheckCells, findColumn, type LabelFile, missingColumn } from '../labels/index.js';
import { BUILT_IN_ATTRIBUTES, type BuiltInAttribute } from './built-in.js';
import { type AttributeDefinition, checkDefinitions } from './definition.js';

/** Asked about if nothing else is said, as far as the label file has them. `expression` shares smile's column. */
const USUAL_ATTRIBUTES: readonly BuiltInAttribute[] = ['gender', 'age', 'race', 'smile', 'eyewear'];
const USUAL_GROUPS = ['race', 'gender', 'age'];

/** An attribute with its column, counted from 0. */
export interface PlacedAttribute {
  readonly definition: AttributeDefinition;
  readonly column: number;
}

/** What pictures are grouped by. */
export interface PlacedGroup {
  readonly name: string;
  readonly column: number;
  /** Gives labels that mean the same one name, and groups an order; absent for other columns. */
  readonly definition: AttributeDefinition | undefined;
}

export interface Layout {
  readonly attributes: readonly PlacedAttribute[];
  readonly groups: readonly PlacedGroup[];
}

export interface LayoutOptions {
  /** Names of built-in attributes, or own ones. @default gender, age, race, smile, eyewear, as far as labelled */
  readonly attributes?: readonly (BuiltInAttribute | AttributeDefinition)[] | undefined;
  /** Names of attributes or of columns that pictures are grouped by. @default race, gender, age, as far as labelled */
  readonly groups?: readonly string[] | undefined;
  readonly columns?: Readonly<Record<string, string>> | undefined;
}

function builtIn(name: string): AttributeDefinition | undefined {
  return Object.hasOwn(BUILT_IN_ATTRIBUTES, name)
    ? BUILT_IN_ATTRIBUTES[name as BuiltInAttribute]
    : undefined;
}

/**
 * The attributes asked for; undefined if the usual ones are to be taken.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT listing unknown names and wrong definitions
 */
export function resolveAttributes({
  attributes,
}: LayoutOptions): readonly AttributeDefinition[] | undefined {
  if (attributes === undefined) return undefined;
  const known = Object.keys(BUILT_IN_ATTRIBUTES);
  const names = attributes.filter((one) => typeof one === 'string');
  const unknown = names.filter((name) => builtIn(name) === undefined);
  if (unknown.length > 0) {
    throw createError('FACELLM_INVALID_ARGUMENT', 'there are no such attributes', {
      details: unknown.map((name) => `attribute ${name}: ${didYouMean(name, known)}`),
    });
  }
  const definitions = attributes.map((one) =>
    typeof one === 'string' ? BUILT_IN_ATTRIBUTES[one] : one,
  );
  checkDefinitions(definitions);
  return definitions;
}

/** Column of an attribute or group: as mapped, else its own names. */
function columnOf(file: LabelFile, names: readonly string[], mapped: string | undefined): number {
  return findColumn(file, mapped === undefined ? names : [mapped]);
}

function isLabelled(file: LabelFile, column: number): boolean {
  return column !== -1 && file.rows.some(({ cells }) => cells[column] !== '');
}

/**
 * Finds all columns.
 *
 * @throws DataError FACELLM_DATA_INVALID listing columns that were asked for and are not there
 */
export function placeColumns(
  file: LabelFile,
  definitions: readonly AttributeDefinition[] | undefined,
  { groups, columns = {} }: LayoutOptions,
): Layout {
  const problems: string[] = [];
  const place = (definition: AttributeDefinition): PlacedAttribute => {
    const { name, columns: usual = [name] } = definition;
    return { definition, column: columnOf(file, usual, columns[name]) };
  };
  const attributes =
    definitions?.map(place) ??
    USUAL_ATTRIBUTES.map((name) => place(BUILT_IN_ATTRIBUTES[name])).filter(({ column }) =>
      isLabelled(file, column),
    );
  for (const { definition, column } of attributes) {
    const { name, columns: usual = [name] } = definition;
    if (column === -1)
      problems.push(missingColumn(file, columns[name] ?? usual.join(' or '), name));
  }
  if (attributes.length === 0) problems.push(`no column holds ${USUAL_ATTRIBUTES.join(', ')}`);
  const placedGroups = (groups ?? USUAL_GROUPS).map((name): PlacedGroup => {
    const definition = definitions?.find((one) => one.name === name) ?? builtIn(name);
    const column = columnOf(file, definition?.columns ?? [name], columns[name]);
    if (column === -1 && groups !== undefined) {
      problems.push(missingColumn(file, columns[name] ?? name, 'groups'));
    }
    if (name === 'attribute') problems.push('groups: `attribute` is the name of each question');
    return { name, column, definition };
  });
  if (problems.length > 0) {
    throw createError('FACELLM_DATA_INVALID', `${file.path}: the columns do not fit`, {
      details: problems,
    });
  }
  return { attributes, groups: placedGroups.filter(({ column }) => isLabelled(file, column)) };
}

/** Index of the choice that a label means; undefined for an empty or ignored one. */
export function answerOf({ choices }: AttributeDefinition, label: string): number | undefined {
  const index = choices.findIndex(({ labels }) => labels.includes(label));
  return index === -1 ? undefined : index;
}

/** Finds labels that mean nothing in the attributes' cells. */
export function checkLabels({ attributes }: Layout): CheckCells {
  return (cells) =>
    attributes.flatMap(({ definition, column }) => {
      const label = cells[column] ?? '';
      const { name, choices, ignoredLabels = [] } = definition;
      const isKnown = answerOf(definition, label) !== undefined || ignoredLabels.includes(label);
      if (label === '' || isKnown) return [];
      const known = [...choices.flatMap(({ labels }) => labels), ...ignoredLabels];
      return [`${name}: ${received(label)}, which is unknown; ${didYouMean(label, known)}`];
    });
}

/** The group that a picture is in; undefined if that is not known. */
export function groupOf(
  { column, definition }: PlacedGroup,
  cells: readonly string[],
): string | undefined {
  const label = cells[column] ?? '';
  if (label === '') return undefined;
  const choice = definition?.choices.find(({ labels }) => labels.includes(label));
  return choice?.labels[0] ?? label;
}
