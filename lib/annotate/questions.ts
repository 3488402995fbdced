/** What a folder of pictures is asked. */
import { z } from 'zod';
import { parse } from 'yaml';

import { CLOSED_QUESTIONS, type ClosedQuestionName } from '../data/index.js';
import { createError } from '../errors.js';
import { readDataText } from '../files/index.js';
import { problemsOf } from '../options/index.js';
import { type AnnotationField, columnsOf, FIXED_COLUMNS, POINTS_COLUMN } from './columns.js';

/** One of given answers. */
export interface ClosedQuestion {
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

/** Answered in the model's own words, greedily: the most probable token each time. */
export interface TextQuestion {
  readonly name: string;
  readonly question: string;
  readonly type: 'text';
  /** @default 128 */
  readonly maxTokens?: number | undefined;
}

export type AnnotationQuestion = ClosedQuestion | TextQuestion;

export const isText = (one: AnnotationQuestion): one is TextQuestion => 'type' in one;

const named = {
  name: z.string().regex(/^[A-Za-z]\w*$/, 'expected letters, digits and underscores'),
  question: z.string().min(1),
};
const closed = z
  .strictObject({
    ...named,
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
const text = z.strictObject({
  ...named,
  type: z.literal('text'),
  maxTokens: z.number().int().min(1).max(4096).optional(),
});

/** Each is told what its own kind lacks: a union would tell that of both. */
function parseAll(
  value: unknown,
  place: string,
): { questions: AnnotationQuestion[]; details: string[] } {
  const list = z.array(z.unknown()).max(64).safeParse(value);
  if (!list.success) return { questions: [], details: problemsOf(list.error, place) };
  const questions: AnnotationQuestion[] = [];
  const details = list.data.flatMap((one, i) => {
    const isOpen = typeof one === 'object' && one !== null && 'type' in one;
    const parsed = (isOpen ? text : closed).safeParse(one);
    if (parsed.success) questions.push(parsed.data);
    return parsed.success ? [] : problemsOf(parsed.error, `${place}[${i}]`);
  });
  return { questions, details };
}

/**
 * Checks questions as they come from a caller or a file; YAML's yes and no are taken as the words they are written with
 * only where they are quoted.
 *
 * @throws DataError FACELLM_QUESTIONS_INVALID listing everything that is wrong
 */
export function checkQuestions(value: unknown, place = 'questions'): readonly AnnotationQuestion[] {
  const { questions, details } = parseAll(value, place);
  const fields = questions.map((one) =>
    isText(one) ? ({ kind: 'text', ...one } as const) : ({ kind: 'closed', ...one } as const),
  );
  details.push(...collisions(fields, place));
  if (details.length === 0) return questions;
  throw createError('FACELLM_QUESTIONS_INVALID', 'the questions cannot be asked', { details });
}

/** Columns that two fields would share, those of a calibration too, whether or not there is one. */
export function collisions(fields: readonly AnnotationField[], place: string): string[] {
  const seen = new Set<string>([...FIXED_COLUMNS, POINTS_COLUMN]);
  return fields.flatMap((field) =>
    columnsOf(field, true).flatMap(({ name: column }) => {
      const isTaken = seen.has(column);
      seen.add(column);
      return isTaken
        ? [`${place}: two columns would be named ${column}; rename ${field.name}`]
        : [];
    }),
  );
}

/** From a YAML or JSON file. @throws DataError FACELLM_QUESTIONS_INVALID, FACELLM_DATA_NOT_FOUND */
export async function loadQuestions(path: string): Promise<readonly AnnotationQuestion[]> {
  const { text: written } = await readDataText(
    path,
    (code) => `${path} cannot be read (${code}); check the path`,
  );
  let value: unknown;
  try {
    value = parse(written);
  } catch (cause) {
    throw createError('FACELLM_QUESTIONS_INVALID', `${path} is neither YAML nor JSON`, { cause });
  }
  return checkQuestions(value, path);
}

/** The built-in closed questions, worded as data and evaluation word them. */
export function attributeQuestions(
  names: readonly ClosedQuestionName[],
): readonly ClosedQuestion[] {
  return names.map((name) => {
    const { question: asked, answers } = CLOSED_QUESTIONS[name];
    return { name, question: asked, choices: [...new Set(Object.values(answers))] };
  });
}
