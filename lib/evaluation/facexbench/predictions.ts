/**
 * Replies in the form that the authors' evaluate.py leaves: each question file again, with the reply as
 * `prediction` of each question. Their aggregate_results.py runs on a folder of these as it is.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { isJsonObject } from '../../files/index.js';
import { writeFileAtomic } from '../../files/index.js';
import type { FaceXFile } from './question-file.js';
import type { FaceXItem, ReadRun } from './scores.js';

/**
 * Writes `<output>/predictions/<model>/<file>.json` for each file with questions that were asked. A
 * question that failed has the empty reply, which counts as wrong there too.
 *
 * @returns the paths relative to `output`
 */
export async function writePredictions(
  files: readonly FaceXFile[],
  items: readonly FaceXItem[],
  run: ReadRun,
  output: string,
): Promise<string[]> {
  const folder = join('predictions', run.name);
  await mkdir(join(output, folder), { recursive: true });
  const replies = new Map<string, Map<string, string>>();
  items.forEach(({ file, key }, i) => {
    const ofFile = replies.get(file) ?? new Map<string, string>();
    ofFile.set(key, run.outcomes[i]?.text ?? '');
    replies.set(file, ofFile);
  });
  const written: string[] = [];
  for (const file of files) {
    const ofFile = replies.get(file.name);
    if (ofFile === undefined) continue;
    const path = join(folder, file.name);
    const text = JSON.stringify(withPredictions(file, ofFile), null, 4);
    await writeFileAtomic(join(output, path), text);
    written.push(path);
  }
  return written;
}

/** The file with the questions that were asked, each with its reply; nothing else is changed. */
function withPredictions(file: FaceXFile, replies: ReadonlyMap<string, string>): object {
  const { questions } = file.source;
  const asked = Object.entries(isJsonObject(questions) ? questions : {}).flatMap(
    ([key, question]) => {
      const prediction = replies.get(key);
      if (prediction === undefined || !isJsonObject(question)) return [];
      return [[key, { ...question, prediction }] as const];
    },
  );
  return { ...file.source, questions: Object.fromEntries(asked) };
}
