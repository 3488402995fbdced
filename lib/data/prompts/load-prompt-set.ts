/**
 * Prompt sets of this package and of users' files, checked: a student's question that would name a label is refused
 * here.
 */
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';

import { createError } from '../../errors.js';
import { readDataText, sha256 } from '../../files/index.js';
import { didYouMean } from '../../options/describe.js';
import { ATTRIBUTES, type Attribute, VOCABULARY } from '../labels/vocabulary.js';
import { ATTRIBUTE_QUESTIONS } from './attribute-questions.js';
import { FAIRFACEGPT } from './fairfacegpt.js';
import { PERSON_WORDING } from './person.js';
import type { PromptQuestion, PromptSet } from './prompt-set.js';

const text = z.string().trim().min(1);
const attributes = z.array(z.enum(ATTRIBUTES as [Attribute, ...Attribute[]])).default([]);

const promptSetSchema = z.strictObject({
  name: text,
  version: text,
  system: text,
  known: text.refine((known) => known.includes('{person}'), 'expected {person} in it'),
  questions: z
    .array(
      z.strictObject({
        id: z.string().regex(/^[a-z0-9_]+$/, 'expected lower-case letters, digits, underscores'),
        topic: text,
        student: text,
        teacher: text,
        about: attributes,
        requires: attributes,
        answers: z.record(z.string(), text).optional(),
      }),
    )
    .min(1),
});

/** Sets that come with the package. */
export const PROMPT_SETS: { readonly [name: string]: PromptSet } = {
  fairfacegpt: FAIRFACEGPT,
  attributes: ATTRIBUTE_QUESTIONS,
};

/** JSON with sorted keys: the same set has the same text however it was written. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, item]) => [key, canonical(item)]));
}

/** sha256 of a set and of the wording that labels are put into, in lower-case hex. */
export function promptSetHash(set: PromptSet): string {
  const content = canonical({ set, wording: PERSON_WORDING });
  return sha256(JSON.stringify(content));
}

const PLACEHOLDER = /\{[^{}]*\}/;

/** What is wrong with the answers of a closed question. */
function answerProblems({ requires, answers }: PromptQuestion): string[] {
  if (answers === undefined) return [];
  const [attribute, ...others] = requires;
  if (attribute === undefined || others.length > 0) {
    return [`requires: expected exactly one attribute beside answers, got ${requires.length}`];
  }
  const known = VOCABULARY[attribute];
  const problems = Object.keys(answers)
    .filter((label) => !known.includes(label))
    .map(
      (label) => `answers.${label}: ${attribute} has no such label; ${didYouMean(label, known)}`,
    );
  if (new Set(Object.values(answers)).size < 2) problems.push('answers: expected two or more');
  return problems;
}

function meaningProblems(set: PromptSet): string[] {
  const problems: string[] = [];
  const seen = new Set<string>();
  for (const [i, question] of set.questions.entries()) {
    const { id, student, teacher, answers = {} } = question;
    const place = `questions.${i}`;
    if (seen.has(id)) problems.push(`${place}.id: ${id} stands twice`);
    seen.add(id);
    const left = PLACEHOLDER.exec(student)?.[0];
    if (left !== undefined) {
      problems.push(`${place}.student: ${left} would show labels to the student`);
    }
    const unknown = PLACEHOLDER.exec(teacher.replaceAll('{known}', ''))?.[0];
    if (unknown !== undefined)
      problems.push(`${place}.teacher: ${unknown} is unknown; use {known}`);
    if (/<image>/.test([student, teacher, ...Object.values(answers)].join(' '))) {
      problems.push(`${place}: <image> is put before the student's question; leave it out`);
    }
    problems.push(...answerProblems(question).map((problem) => `${place}.${problem}`));
  }
  return problems;
}

/**
 * Checks a prompt set.
 *
 * @param name of the file or option, for messages
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT with one detail per problem
 */
export function checkPromptSet(value: unknown, name: string): PromptSet {
  const result = promptSetSchema.safeParse(value);
  const problems = result.success
    ? meaningProblems(result.data)
    : result.error.issues.map(({ path, message }) => `${path.join('.') || 'set'}: ${message}`);
  if (result.success && problems.length === 0) return result.data;
  throw createError('FACELLM_INVALID_ARGUMENT', `${name} is no prompt set`, { details: problems });
}

/**
 * The set with some of its questions only, in its own order.
 *
 * @param ids of the questions; repetitions count once
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT listing every id that the set lacks
 */
export function selectQuestions(set: PromptSet, ids: readonly string[]): PromptSet {
  const known = set.questions.map(({ id }) => id);
  const problems = [...new Set(ids)]
    .filter((id) => !known.includes(id))
    .map((id) => `question ${id}: ${didYouMean(id, known)}`);
  if (ids.length === 0) problems.push(`questions: expected at least one of ${known.join(', ')}`);
  if (problems.length === 0) {
    return { ...set, questions: set.questions.filter(({ id }) => ids.includes(id)) };
  }
  throw createError('FACELLM_INVALID_ARGUMENT', `${set.name} has no such questions`, {
    details: problems,
  });
}

/**
 * A set by the name it has in this package, or from a YAML or JSON file.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT
 * @throws DataError FACELLM_DATA_NOT_FOUND, FACELLM_DATA_INVALID for a file that is no text
 */
export async function loadPromptSet(nameOrPath: string): Promise<PromptSet> {
  const known = Object.hasOwn(PROMPT_SETS, nameOrPath) ? PROMPT_SETS[nameOrPath] : undefined;
  if (known !== undefined) return known;
  const { text: written } = await readDataText(
    nameOrPath,
    (code) =>
      `there is no prompt set ${nameOrPath} and no such file (${code}); ${didYouMean(nameOrPath, Object.keys(PROMPT_SETS))}`,
  );
  let value: unknown;
  try {
    // JSON is YAML.
    value = parseYaml(written);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw createError(
      'FACELLM_INVALID_ARGUMENT',
      `${nameOrPath} is neither YAML nor JSON: ${reason}`,
      {
        cause,
      },
    );
  }
  return checkPromptSet(value, nameOrPath);
}
