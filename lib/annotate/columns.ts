/** What stands in a table for each thing that is asked: the same columns in CSV and Parquet. */
import type { ParquetColumn } from '../data/index.js';
import type { Json } from '../structured/index.js';

/** One of given answers: a closed question, or a schema's property of given values. */
export interface ClosedField {
  readonly kind: 'closed';
  readonly name: string;
  /** Empty of a schema's property. */
  readonly question: string;
  readonly choices: readonly string[];
  readonly values?: readonly number[] | undefined;
  readonly minProbability?: number | undefined;
  /** Of a schema's property: a JSON pointer. */
  readonly path?: string | undefined;
}

/** In the model's own words: `NAME` and `NAME_finish`. */
export interface TextField {
  readonly kind: 'text';
  readonly name: string;
  readonly question: string;
  readonly maxTokens?: number | undefined;
}

/** A schema's other properties: `NAME` and `NAME_p`; lists and what has several forms as JSON without a probability. */
export interface ValueField {
  readonly kind: 'number' | 'string' | 'json';
  readonly name: string;
  readonly path: string;
}

export type AnnotationField = ClosedField | TextField | ValueField;

export const isClosed = (field: AnnotationField): field is ClosedField => field.kind === 'closed';

/** A value of a schema's property. */
export interface AnnotationValue {
  readonly value: Json;
  /** Given the properties before it; null where there is none. */
  readonly probability: number | null;
}

/** Of a choice's column. */
export function slug(text: string): string {
  return (
    text
      .toLowerCase()
      .replace(/[^\p{L}\p{N}]+/gu, '_')
      .replace(/^_|_$/g, '') || '_'
  );
}

const number = (name: string): ParquetColumn => ({ name, type: 'DOUBLE' });
const text = (name: string): ParquetColumn => ({ name, type: 'STRING' });

function closedColumns(
  { name, choices, values }: ClosedField,
  isCalibrated: boolean,
): readonly ParquetColumn[] {
  const shares = choices.map((choice) => `_p_${slug(choice)}`);
  const numbers = [
    ...['_p', '_margin', ...shares],
    ...(values === undefined ? [] : ['_value']),
    ...(isCalibrated ? ['_p', ...shares].map((end) => `_calibrated${end}`) : []),
  ];
  return [text(name), ...numbers.map((end) => number(name + end))];
}

/** In their order. */
export function columnsOf(field: AnnotationField, isCalibrated: boolean): readonly ParquetColumn[] {
  const { kind, name } = field;
  switch (kind) {
    case 'closed':
      return closedColumns(field, isCalibrated);
    case 'text':
      return [text(name), text(`${name}_finish`)];
    case 'number':
      return [number(name), number(`${name}_p`)];
    case 'string':
      return [text(name), number(`${name}_p`)];
    case 'json':
      return [text(name)];
  }
}

/** Of Parquet alone: a list of x and y, which a line of CSV has no cell for. */
export const POINTS_COLUMN = 'points';

/** Of the columns that every table has. */
export const FIXED_COLUMNS: readonly string[] = [
  ...['file', 'sha256', 'width', 'height', 'faces_found', 'face'],
  ...['box_x', 'box_y', 'box_w', 'box_h'],
  ...['score', 'roll', 'chip_side', 'flags', 'status', 'error'],
];
