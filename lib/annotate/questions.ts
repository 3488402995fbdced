/** What a folder of pictures is asked, and the columns that hold the answers. */
import { z } from 'zod';
import { parse } from 'yaml';

import { CLOSED_QUESTIONS, type ClosedQuestionName } from '../data/index.js';
import { createError } from '../errors.js';
import { readDataText } from '../files/index.js';
import { problemsOf } from '../options/index.js';

export interface AnnotationQuestion {
  /** Of its columns: letters, digits and underscores. */
  readonly name: string;
  readonly question: string;
  /** 2 to 256 different texts. */
  readonly choices: readonly string[];
  /** One a choice: adds their expected value. */
  readonly values?: readonly number[] | undefined;
  /** A best answer below this share is left out. */
  readonly minProbability?: number | undefined;
}

const question = z
  .strictObject({
    name: z.string().regex(/^[A-Za-z]\w*$/, 'expected letters, digits and underscores'),
    question: z.string().min(1),
    choices: z
      .array(z.union([z.string().min(1), z.number(), z.boolean()]).transform(String))
      .min(2)
      .max(256),
    values: z.array(z.number()).optional(),
    minProbability: z.number().min(0).max(1).optional(),
  })
  .check((context) => {
    const { values, choices } = context.value;
    if (values === undefined || values.length === choices.length) return;
    const message = `expected ${choices.length} numbers, one a choice, received ${values.length}`;
    context.issues.push({ code: 'custom', message, path: ['values'], input: values });
  });

/** Of a choice's column. */
export function slug(text: string): string {
  return (
    text
      .toLowerCase()
      .replace(/[^\p{L}\p{N}]+/gu, '_')
      .replace(/^_|_$/g, '') || '_'
  );
}

/** @returns names of the columns of a question, in their order */
export function columnsOf(
  { name, choices, values }: AnnotationQuestion,
  isCalibrated: boolean,
): readonly string[] {
  const shares = choices.map((choice) => `_p_${slug(choice)}`);
  return [
    name,
    `${name}_p`,
    `${name}_margin`,
    ...shares.map((share) => `${name}${share}`),
    ...(values === undefined ? [] : [`${name}_value`]),
    ...(isCalibrated
      ? [`${name}_calibrated_p`, ...shares.map((share) => `${name}_calibrated${share}`)]
      : []),
  ];
}

/** Of the columns that every table has. */
export const FIXED_COLUMNS: readonly string[] = [
  ...[
    'file',
    'sha256',
    'width',
    'height',
    'faces_found',
    'face',
    'box_x',
    'box_y',
    'box_w',
    'box_h',
  ],
  ...['score', 'roll', 'chip_side', 'flags', 'status', 'error'],
];

/**
 * Checks questions as they come from a caller or a file; YAML's yes and no are taken as the words they are written with
 * only where they are quoted.
 *
 * @throws DataError FACELLM_QUESTIONS_INVALID listing everything that is wrong
 */
export function checkQuestions(value: unknown, place = 'questions'): readonly AnnotationQuestion[] {
  const parsed = z.array(question).min(1).max(64).safeParse(value);
  const details = parsed.success ? [] : problemsOf(parsed.error, place);
  const questions = parsed.data ?? [];
  const seen = new Set<string>(FIXED_COLUMNS);
  for (const one of questions) {
    // Those of a calibration, too, whether or not there is one.
    for (const column of columnsOf(one, true)) {
      if (seen.has(column))
        details.push(`${place}: two columns would be named ${column}; rename ${one.name}`);
      seen.add(column);
    }
  }
  if (details.length === 0) return questions;
  throw createError('FACELLM_QUESTIONS_INVALID', 'the questions cannot be asked', { details });
}

/** From a YAML or JSON file. @throws DataError FACELLM_QUESTIONS_INVALID, FACELLM_DATA_NOT_FOUND */
export async function loadQuestions(path: string): Promise<readonly AnnotationQuestion[]> {
  const { text } = await readDataText(
    path,
    (code) => `${path} cannot be read (${code}); check the path`,
  );
  let value: unknown;
  try {
    value = parse(text);
  } catch (cause) {
    throw createError('FACELLM_QUESTIONS_INVALID', `${path} is neither YAML nor JSON`, { cause });
  }
  return checkQuestions(value, path);
}

/** The built-in closed questions, worded as data and evaluation word them. */
export function attributeQuestions(
  names: readonly ClosedQuestionName[],
): readonly AnnotationQuestion[] {
  return names.map((name) => {
    const { question: text, answers } = CLOSED_QUESTIONS[name];
    return { name, question: text, choices: [...new Set(Object.values(answers))] };
  });
}
