/** Where a label file says what each attribute is, and what its cells mean. */
import { rangeOfDate } from '../../data/labels/spreadsheet-date.js';
import type { RowChecks } from '../../data/labels/picture-rows.js';
import { didYouMean, received } from '../../options/describe.js';
import { createError } from '../../errors.js';
import { type LabelFile, missingColumn } from '../labels/label-file.js';
import {
  BUILT_IN_ATTRIBUTES,
  type BuiltInAttribute,
  builtInAttribute,
} from '../labels/built-in.js';
import { type AttributeDefinition, checkDefinitions } from '../labels/definition.js';
import {
  columnOf,
  type GroupOptions,
  isLabelled,
  type PlacedGroup,
  placeGroups,
} from '../labels/group-columns.js';

/** Asked about if nothing else is said, as far as the label file has them. `expression` shares smile's column. */
const USUAL_ATTRIBUTES: readonly BuiltInAttribute[] = ['gender', 'age', 'race', 'smile', 'eyewear'];

/** An attribute with its column, counted from 0. */
export interface PlacedAttribute {
  readonly definition: AttributeDefinition;
  readonly column: number;
}

export interface Layout {
  readonly attributes: readonly PlacedAttribute[];
  readonly groups: readonly PlacedGroup[];
}

export interface LayoutOptions extends GroupOptions {
  /** Names of built-in attributes, or own ones. @default gender, age, race, smile, eyewear, as far as labelled */
  readonly attributes?: readonly (BuiltInAttribute | AttributeDefinition)[] | undefined;
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
  const unknown = names.filter((name) => builtInAttribute(name) === undefined);
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

/**
 * Finds all columns.
 *
 * @throws DataError FACELLM_DATA_INVALID listing columns that were asked for and are not there
 */
export function placeColumns(
  file: LabelFile,
  definitions: readonly AttributeDefinition[] | undefined,
  options: LayoutOptions,
): Layout {
  const { columns = {} } = options;
  const problems: string[] = [];
  const place = (definition: AttributeDefinition): PlacedAttribute => {
    const { name, columns: usual = [name] } = definition;
    const column = columnOf(file, usual, columns[name]);
    if (column === -1 && definitions !== undefined) {
      problems.push(missingColumn(file, columns[name] ?? usual.join(' or '), name));
    }
    return { definition, column };
  };
  const attributes =
    definitions?.map(place) ??
    USUAL_ATTRIBUTES.map((name) => place(BUILT_IN_ATTRIBUTES[name])).filter(({ column }) =>
      isLabelled(file, column),
    );
  if (attributes.length === 0) problems.push(`no column holds ${USUAL_ATTRIBUTES.join(', ')}`);
  const groups = placeGroups(file, options, definitions, problems);
  return { attributes, groups };
}

/** Index of the choice that a label means; undefined for an empty or ignored one. */
export function answerOf({ choices }: AttributeDefinition, label: string): number | undefined {
  const index = choices.findIndex(({ labels }) => labels.includes(label));
  return index === -1 ? undefined : index;
}

/** Finds labels that mean nothing in the attributes' cells. */
export function checkLabels({ attributes }: Layout): RowChecks['check'] {
  return (cells) =>
    attributes.flatMap(({ definition, column }) => {
      const label = cells[column] ?? '';
      const { name, choices, ignoredLabels = [] } = definition;
      const isKnown = answerOf(definition, label) !== undefined || ignoredLabels.includes(label);
      if (label === '' || isKnown) return [];
      const known = [...choices.flatMap(({ labels }) => labels), ...ignoredLabels];
      const range = rangeOfDate(label, known);
      const remedy =
        range === undefined
          ? didYouMean(label, known)
          : `a spreadsheet made a date of ${range}; write ${range} again`;
      return [`${name}: ${received(label)}, which is unknown; ${remedy}`];
    });
}
