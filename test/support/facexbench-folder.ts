/** FaceXBench's folder in small: the shipped questions with generated pictures in place. */
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import sharp from 'sharp';

export const QUESTIONS: string = join(import.meta.dirname, '..', 'fixtures', 'facexbench');

/** As much of a question file as tests look at. */
export interface RawQuestionFile {
  readonly category: string;
  readonly 'sub-category': string;
  readonly num_images: string;
  readonly questions: Readonly<
    Record<
      string,
      {
        readonly image_paths: readonly string[];
        readonly options: readonly (string | number)[];
        readonly correct_answer_option: string;
        readonly prediction?: string;
      }
    >
  >;
}

export function readQuestionFile(folder: string, name: string): RawQuestionFile {
  return JSON.parse(readFileSync(join(folder, name), 'utf8')) as RawQuestionFile;
}

export function questionFiles(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .sort();
}

const temporary: string[] = [];
process.once('exit', () => {
  for (const folder of temporary) rmSync(folder, { recursive: true, force: true });
});

/** A folder that goes when the tests end. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'facellm-evaluation-'));
  temporary.push(folder);
  return folder;
}

/** A new folder of the question files `from`, each picture a small PNG of a colour of its own. */
export async function makeFolder(from: string = QUESTIONS): Promise<string> {
  const folder = temporaryFolder();
  let number = 0;
  for (const name of questionFiles(from)) {
    copyFileSync(join(from, name), join(folder, name));
    const { questions } = readQuestionFile(from, name);
    for (const path of Object.values(questions).flatMap(({ image_paths }) => image_paths)) {
      const target = join(folder, path);
      mkdirSync(dirname(target), { recursive: true });
      number++;
      const background = { r: (number * 37) % 256, g: (number * 91) % 256, b: (number * 13) % 256 };
      await sharp({ create: { width: 24, height: 24, channels: 3, background } })
        .png()
        .toFile(target);
    }
  }
  return folder;
}

export interface Tally {
  correct: number;
  total: number;
}

/**
 * The official aggregation over a folder of predictions, as aggregate_results.py does it: pooled
 * counts over all questions, per category, per sub-category and per number of pictures.
 *
 * @param extract reply, options -> letter or undefined
 */
export function aggregate(
  folder: string,
  extract: (reply: string, options: readonly (string | number)[]) => string | undefined,
): Map<string, Tally> {
  const counts = new Map<string, Tally>();
  for (const name of questionFiles(folder)) {
    const file = readQuestionFile(folder, name);
    const groups = ['all questions', file.category, file['sub-category'], file.num_images];
    for (const { options, correct_answer_option, prediction = '' } of Object.values(
      file.questions,
    )) {
      const isRight = extract(prediction, options) === correct_answer_option;
      for (const group of groups) {
        const tally = counts.get(group) ?? { correct: 0, total: 0 };
        tally.total++;
        if (isRight) tally.correct++;
        counts.set(group, tally);
      }
    }
  }
  return counts;
}
