/** Rows as a flat table: the same columns in CSV and Parquet, which has the faces' points, too. */
import type { ParquetColumn, ParquetRow } from '../data/index.js';
import type { FacePoint } from '../faces/index.js';
import type { AnnotationRow } from './annotate-picture.js';
import {
  type AnnotationField,
  type ClosedField,
  columnsOf,
  FIXED_COLUMNS,
  POINTS_COLUMN,
} from './columns.js';

const WHOLE = ['width', 'height', 'faces_found', 'face'];
export const pointsColumn: ParquetColumn = { name: POINTS_COLUMN, type: 'DOUBLES' };
const TEXTS = ['file', 'sha256', 'flags', 'status', 'error'];

export type FlatRow = readonly (string | number | null)[];

export function tableColumns(
  fields: readonly AnnotationField[],
  isCalibrated: boolean,
): readonly ParquetColumn[] {
  const fixed = FIXED_COLUMNS.map((name) => {
    const type = WHOLE.includes(name) ? 'INT32' : TEXTS.includes(name) ? 'STRING' : 'DOUBLE';
    return { name, type } as const;
  });
  return [...fixed, ...fields.flatMap((field) => columnsOf(field, isCalibrated))];
}

function closedCells(
  { name, choices, values }: ClosedField,
  { answers }: AnnotationRow,
  isCalibrated: boolean,
): FlatRow {
  const answer = answers[name];
  const { best = null, probability = null, margin = null, calibrated } = answer ?? {};
  const of = (shares: Readonly<Record<string, number>> | undefined) =>
    choices.map((choice) => shares?.[choice] ?? null);
  return [
    ...[best, probability, margin, ...of(answer?.probabilities)],
    ...(values === undefined ? [] : [answer?.value ?? null]),
    ...(isCalibrated ? [calibrated?.probability ?? null, ...of(calibrated?.probabilities)] : []),
  ];
}

function cellsOf(field: AnnotationField, row: AnnotationRow, isCalibrated: boolean): FlatRow {
  const { kind, name } = field;
  if (kind === 'closed') return closedCells(field, row, isCalibrated);
  if (kind === 'text') {
    const { text = null, finish = null } = row.texts?.[name] ?? {};
    return [text, finish];
  }
  const { value = null, probability = null } = row.values?.[name] ?? {};
  if (kind === 'json') return [value === null ? null : JSON.stringify(value)];
  return [typeof value === 'string' || typeof value === 'number' ? value : null, probability];
}

export function tableRow(
  row: AnnotationRow,
  fields: readonly AnnotationField[],
  isCalibrated: boolean,
): FlatRow {
  const { face } = row;
  const box = face?.box;
  return [
    ...[row.file, row.sha256, row.width, row.height, row.facesFound, face?.index ?? null],
    ...[box?.x ?? null, box?.y ?? null, box?.width ?? null, box?.height ?? null],
    ...[face?.score ?? null, face?.roll ?? null, face?.chip.side ?? null],
    ...[face === null ? null : face.flags.join(' '), row.status, row.error],
    ...fields.flatMap((field) => cellsOf(field, row, isCalibrated)),
  ];
}

/** x and y of right eye, left eye, nose tip, mouth, right ear and left ear, pixels of the picture; NaN is null. */
export function pointsOf({ face }: AnnotationRow): ParquetRow[number] {
  return face === null
    ? null
    : Object.values<FacePoint>({ ...face.points }).flatMap(({ x, y }) => [x, y]);
}
