/** Rows as a flat table: the same columns in CSV and Parquet. */
import type { ParquetColumn, ParquetRow } from '../data/index.js';
import type { AnnotationRow } from './annotate-picture.js';
import { type AnnotationQuestion, columnsOf, FIXED_COLUMNS } from './questions.js';

const WHOLE = ['width', 'height', 'faces_found', 'face'];
const TEXTS = ['file', 'sha256', 'flags', 'status', 'error'];

export function tableColumns(
  questions: readonly AnnotationQuestion[],
  isCalibrated: boolean,
): readonly ParquetColumn[] {
  const answers = questions.flatMap((one) =>
    columnsOf(one, isCalibrated).map(
      (name) => ({ name, type: name === one.name ? 'STRING' : 'DOUBLE' }) as const,
    ),
  );
  const fixed = FIXED_COLUMNS.map((name) => {
    const type = WHOLE.includes(name) ? 'INT32' : TEXTS.includes(name) ? 'STRING' : 'DOUBLE';
    return { name, type } as const;
  });
  return [...fixed, ...answers];
}

export function tableRow(
  row: AnnotationRow,
  questions: readonly AnnotationQuestion[],
  isCalibrated: boolean,
): ParquetRow {
  const { face } = row;
  const box = face?.box;
  return [
    ...[row.file, row.sha256, row.width, row.height, row.facesFound, face?.index ?? null],
    ...[box?.x ?? null, box?.y ?? null, box?.width ?? null, box?.height ?? null],
    ...[face?.score ?? null, face?.roll ?? null, face?.chip.side ?? null],
    ...[face === null ? null : face.flags.join(' '), row.status, row.error],
    ...questions.flatMap((one) => {
      const answer = row.answers[one.name];
      const shares = one.choices.map((choice) => answer?.probabilities[choice] ?? null);
      const value = one.values === undefined ? [] : [answer?.value ?? null];
      const { best = null, probability = null, margin = null } = answer ?? {};
      const { calibrated } = answer ?? {};
      const scaled = one.choices.map((choice) => calibrated?.probabilities[choice] ?? null);
      const more = isCalibrated ? [calibrated?.probability ?? null, ...scaled] : [];
      return [best, probability, margin, ...shares, ...value, ...more];
    }),
  ];
}
