/**
 * One of FaceXBench's JSON files, checked. Traps of the published files: hyphenated keys, options and
 * answers that are integers, answers that are numbers where the options are ranges, questions without
 * pictures that ship a black one, an early version with two options. Every fault is listed.
 */
import { received } from '../../options/describe.js';
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

/** Collects faults with their place. */
class Reader {
  readonly problems: string[] = [];
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  fault(place: string, expected: string, value: unknown): void {
    this.problems.push(`${this.#name}${place}: expected ${expected}, ${received(value)}`);
  }

  text(from: JsonObject, key: string, place: string): string {
    const value = from[key];
    if (typeof value === 'string' && value !== '') return value;
    this.fault(`${place} ${key}`, 'a text', value);
    return '';
  }

  optionalText(from: JsonObject, key: string): string {
    const value = from[key];
    if (value === undefined || value === null) return '';
    if (typeof value === 'string') return value;
    this.fault(` ${key}`, 'a text', value);
    return '';
  }
}

/** @returns the file as far as it could be read, and every fault; it is usable if there is none */
export function parseQuestionFile(
  name: string,
  json: string,
): { readonly file: FaceXFile | undefined; readonly problems: readonly string[] } {
  const parsed = parseJson(json);
  if (!parsed.isValid) {
    return { file: undefined, problems: [`${name}: ${jsonFault(json, parsed.reason)}`] };
  }
  const reader = new Reader(name);
  const source = parsed.value;
  if (!isJsonObject(source)) {
    reader.fault('', 'an object with category, questions and others', source);
    return { file: undefined, problems: reader.problems };
  }
  const category = reader.text(source, 'category', '');
  const imageCount = source['num_images'];
  if (!IMAGE_COUNTS.includes(imageCount)) {
    reader.fault(' num_images', 'single, multiple or zero', imageCount);
  }
  const file: FaceXFile = {
    name,
    category,
    task: reader.text(source, 'sub-category', ''),
    dataset: reader.text(source, 'dataset', ''),
    imageCount: String(imageCount),
    prependText: reader.optionalText(source, 'prepend_text'),
    postpendText: reader.optionalText(source, 'postpend_text'),
    context: category === 'tools_use' ? reader.text(source, 'context', '') : '',
    questions: readQuestions(source['questions'], reader),
    source,
  };
  return { file, problems: reader.problems };
}

function readQuestions(value: unknown, reader: Reader): FaceXQuestion[] {
  if (!isJsonObject(value) || Object.keys(value).length === 0) {
    reader.fault(' questions', 'an object of at least one question', value);
    return [];
  }
  return Object.entries(value).flatMap(([key, question]) => {
    const before = reader.problems.length;
    const read = readQuestion(key, question, reader);
    return reader.problems.length === before && read !== undefined ? [read] : [];
  });
}

function readQuestion(key: string, value: unknown, reader: Reader): FaceXQuestion | undefined {
  const place = `, question ${key}`;
  if (!isJsonObject(value)) {
    reader.fault(place, 'an object', value);
    return undefined;
  }
  const imagePaths = value['image_paths'];
  if (!Array.isArray(imagePaths) || !imagePaths.every(isInside)) {
    reader.fault(`${place} image_paths`, 'paths below the folder of the file', imagePaths);
  }
  const options = value['options'];
  if (!isOptionList(options)) {
    reader.fault(`${place} options`, 'at least two texts or whole numbers', options);
    return undefined;
  }
  const letter = value['correct_answer_option'];
  const labels = optionLabels(Math.min(options.length, LABELLED_OPTIONS));
  const correct = typeof letter === 'string' ? labels.indexOf(letter) : -1;
  if (correct < 0) {
    reader.fault(`${place} correct_answer_option`, `one of ${labels.join(', ')}`, letter);
  }
  return {
    key,
    imagePaths: imagePaths as readonly string[],
    text: reader.text(value, 'question_text', place),
    options,
    correct,
    isConsistent: agrees(options[correct], value['answer']),
  };
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
