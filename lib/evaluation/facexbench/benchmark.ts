/** FaceXBench as a benchmark: its folder to questions, its answers to tables. */
import { join } from 'node:path';

import { sha256 } from '../../files/index.js';
import type { Benchmark, BenchmarkOptions, ModelRun, ReportOptions } from '../types.js';
import { extractOfficial, optionLabels } from './extract-official.js';
import { buildPrompt, type FaceXSetting } from './prompt.js';
import { differencesFromPublished } from './published-set.js';
import { LABELLED_OPTIONS } from './question-file.js';
import { type QuestionFolder, readQuestionFolder } from './question-folder.js';
import { reportFaceXBench } from './report.js';
import type { FaceXItem } from './scores.js';

/** `data` is the published repository, or its folder `benchmark/`, with the pictures. */
export interface FaceXBenchOptions extends BenchmarkOptions {
  /** @default 'zero-shot' */
  readonly setting?: FaceXSetting | undefined;
}

/**
 * Reads the folder, checks every file and hashes every picture. The choices are the letters of the
 * options: a letter is what the question asks for, all have one token, and longer texts are not less
 * probable for their length.
 *
 * @throws DataError FACELLM_DATA_NOT_FOUND, FACELLM_DATA_INVALID listing every fault
 */
export async function faceXBench(options: FaceXBenchOptions): Promise<Benchmark> {
  const { setting = 'zero-shot', limit = Infinity } = options;
  const folder = await readQuestionFolder(options.data, options.onInvalid ?? 'error');
  const items = listItems(folder, setting, limit);
  const differences = differencesFromPublished(folder.files);
  const shortage = shortageOf(folder, items.length);
  const notes = [...differences, ...shortage, ...contradictions(folder)];
  const isPartial = differences.length > 0 || shortage.length > 0;
  return {
    name: 'facexbench',
    isPartial,
    notes,
    items,
    fingerprint: sha256(folder.sources.map((one) => `${one.sha256} ${one.path}\n`).join('')),
    sources: folder.sources,
    readings: options.readings ?? ['text', 'probability'],
    readText: (place, text) => extractOfficial(text, items[place]?.options ?? []),
    describeChoice: (place, choice) => {
      const { choices = [], options: texts = [] } = items[place] ?? {};
      return `${choices[choice] ?? ''} ${texts[choice] ?? ''}`.trim();
    },
    report: (runs: readonly ModelRun[], output: string, how?: ReportOptions) =>
      reportFaceXBench({ ...how, folder, items, isPartial, notes, setting, runs, output }),
  };
}

function listItems(folder: QuestionFolder, setting: FaceXSetting, limit: number): FaceXItem[] {
  return folder.files.flatMap((file) =>
    file.questions.slice(0, limit).map((question) => ({
      id: `${file.name.replace(/\.json$/, '')}/${question.key}`,
      images: question.imagePaths.map((path) => join(folder.directory, path)),
      prompt: buildPrompt(file, question, setting),
      choices: optionLabels(Math.min(question.options.length, LABELLED_OPTIONS)),
      answer: question.correct,
      tags: {
        category: file.category,
        task: file.task,
        images: file.imageCount,
        dataset: file.dataset,
      },
      file: file.name,
      key: question.key,
      options: question.options,
    })),
  );
}

/** Why fewer questions are asked than the files hold. */
function shortageOf({ files, leftOut }: QuestionFolder, asked: number): string[] {
  const invalid = leftOut.filter(({ question }) => question === undefined);
  const unseen = leftOut.length - invalid.length;
  const usable = files.reduce((sum, { questions }) => sum + questions.length, 0);
  return [
    ...(invalid.length > 0
      ? [`left out as faulty: ${invalid.map(({ file }) => file).join(', ')}`]
      : []),
    ...(unseen > 0 ? [`left out for lack of pictures: ${unseen} questions`] : []),
    ...(asked < usable ? [`limited to ${asked} of ${usable} questions`] : []),
  ];
}

function contradictions({ files }: QuestionFolder): string[] {
  const ids = files.flatMap(({ name, questions }) =>
    questions.filter(({ isConsistent }) => !isConsistent).map(({ key }) => `${name} ${key}`),
  );
  if (ids.length === 0) return [];
  return [
    `in ${ids.length} question(s) answer and correct_answer_option disagree, the letter counts, as in ` +
      `the official scoring: ${ids.slice(0, 20).join(', ')}${ids.length > 20 ? ', ...' : ''}`,
  ];
}
