/**
 * One of FaceXBench's JSON files, checked. Traps of the published files: hyphenated keys, options and
 * answers that are integers, answers that are numbers where the options are ranges, questions without
 * pictures that ship a black one, an early version with two options. Every fault is listed.
 */
import { z } from 'zod';

import { received } from '../../options/describe.js';
import { field, kindOf, name, text } from '../../options/index.js';
import { isJsonObject, jsonFault, type JsonObject, parseJson } from '../../files/index.js';
import { optionLabels } from './extract-official.js';

export interface FaceXQuestion {
  /** As in the file: "1", "2", ... */
  readonly key: string;
  /** Relative to the folder of the file, in order. */
  readonly imagePaths: readonly string[];
  readonly text: string;
  readonly options: readonly (string | number)[];
  /** Index of the right one among `options`. */
  readonly correct: number;
  /** Whether the file's `answer` names the same option as its `correct_answer_option`. */
  readonly isConsistent: boolean;
}

export interface FaceXFile {
  /** With its ending. */
  readonly name: string;
  readonly category: string;
  readonly task: string;
  readonly dataset: string;
  /** `single`, `multiple` or `zero`. */
  readonly imageCount: string;
  /** Description of the task; '' if there is none. */
  readonly prependText: string;
  /** The request for a letter alone; '' if there is none. */
  readonly postpendText: string;
  /** List of the tools; '' except for `tools_use`. */
  readonly context: string;
  readonly questions: readonly FaceXQuestion[];
  /** As parsed, for the official form of predictions. */
  readonly source: JsonObject;
}

/** The authors' script has four labels and leaves further options out of the prompt. */
export const LABELLED_OPTIONS = 4;
const IMAGE_COUNTS: readonly unknown[] = ['single', 'multiple', 'zero'];

const aText = name('a text');
const maybeText = text('a text').nullish();
const anObject = (expected: string): z.core.$ZodErrorMap => {
  return ({ input }) => `expected ${expected}, ${received(input)}`;
};

const questionSchema = kindOf((value) => {
  const options = isJsonObject(value) && isOptionList(value['options']) ? value['options'] : [];
  const labels = labelsOf(options);
  const shape = {
    image_paths: field<readonly string[]>(
      'paths below the folder of the file',
      (paths) => Array.isArray(paths) && paths.every(isInside),
    ),
    options: field<typeof options>('at least two texts or whole numbers', isOptionList),
    correct_answer_option: field<string>(
      `one of ${labels.join(', ')}`,
      (letter) => options.length === 0 || labels.includes(letter as string),
    ),
    question_text: aText,
  };
  return z.looseObject(shape, { error: anObject('an object') });
});

const fileSchema = kindOf((value) => {
  const isOfTools = isJsonObject(value) && value['category'] === 'tools_use';
  const shape = {
    category: aText,
    num_images: field<string>('single, multiple or zero', (one) => IMAGE_COUNTS.includes(one)),
    'sub-category': aText,
    dataset: aText,
    prepend_text: maybeText,
    postpend_text: maybeText,
    context: isOfTools ? aText : z.unknown().optional(),
    questions: kindOf((all) =>
      isJsonObject(all) && Object.keys(all).length > 0
        ? z.record(z.string(), questionSchema)
        : field<never>('an object of at least one question', () => false),
    ),
  };
  return z.looseObject(shape, { error: anObject('an object with category, questions and others') });
});

/** @returns the file, or every fault that makes it unusable */
export function parseQuestionFile(
  name: string,
  json: string,
): { readonly file: FaceXFile | undefined; readonly problems: readonly string[] } {
  const parsed = parseJson(json);
  if (!parsed.isValid) {
    return { file: undefined, problems: [`${name}: ${jsonFault(json, parsed.reason)}`] };
  }
  const { data, error } = fileSchema.safeParse(parsed.value);
  if (error !== undefined) {
    const problems = error.issues.map(({ path, message }) => {
      const place = path.join(' ').replace(/^questions (?=.)/, ', question ');
      return `${name}${place.replace(/^(?=[^,])/, ' ')}: ${message}`;
    });
    return { file: undefined, problems };
  }
  const file: FaceXFile = {
    name,
    category: data.category,
    task: data['sub-category'],
    dataset: data.dataset,
    imageCount: data.num_images,
    prependText: data.prepend_text ?? '',
    postpendText: data.postpend_text ?? '',
    context: data.category === 'tools_use' ? String(data.context) : '',
    questions: Object.entries(data.questions).map(([key, question]) => {
      const { image_paths: imagePaths, options } = question;
      const correct = labelsOf(options).indexOf(question.correct_answer_option);
      return {
        key,
        imagePaths,
        text: question.question_text,
        options,
        correct,
        isConsistent: agrees(options[correct], question['answer']),
      };
    }),
    source: parsed.value as JsonObject,
  };
  return { file, problems: [] };
}

function labelsOf(options: readonly unknown[]): string[] {
  return optionLabels(Math.min(options.length, LABELLED_OPTIONS));
}

function isInside(path: unknown): boolean {
  if (typeof path !== 'string' || path === '') return false;
  return !/^([/\\]|[a-z]:)/i.test(path) && !path.split(/[/\\]/).includes('..');
}

function isOptionList(value: unknown): value is (string | number)[] {
  if (!Array.isArray(value) || value.length < 2) return false;
  return value.every((option) => typeof option === 'string' || Number.isSafeInteger(option));
}

/** Equal as text, or a number within a range such as "38 to 42". */
function agrees(option: string | number | undefined, answer: unknown): boolean {
  if (typeof answer !== 'string' && typeof answer !== 'number') return false;
  const text = String(option).trim();
  if (text === String(answer).trim()) return true;
  const range = /^(-?\d+) to (-?\d+)$/.exec(text);
  if (range === null) return false;
  return Number(range[1]) <= Number(answer) && Number(answer) <= Number(range[2]);
}
