/**
 * What a FaceXBench run leaves: facexbench.md and .html for people, .csv and .json for programs, the readings
 * of every question, the official predictions, and what was left out.
 */
import { join } from 'node:path';

import { writeFileAtomic } from '../../files/index.js';
import { CONFIDENCE } from '../metrics/wilson.js';
import { csvOf } from '../report/csv.js';
import { roundedJson } from '../report/numbers.js';
import { writeReport } from '../report/write.js';
import type { BenchmarkSummary, ModelRun, ReportOptions } from '../types.js';
import { writePredictions } from './predictions.js';
import { PUBLISHED_SCORES, PUBLISHED_SOURCE, PUBLISHED_TASKS } from './published-scores.js';
import type { QuestionFolder } from './question-folder.js';
import { describeResults } from './report-text.js';
import { figuresOf, mainTable, type ResultsInput, resultsOf } from './results.js';
import { type FaceXItem, type ReadRun, readingsOf, readRun, type Score } from './scores.js';

export interface FaceXReportOptions extends ResultsInput, ReportOptions {
  readonly folder: QuestionFolder;
  /** The first is what the others are compared with. */
  readonly runs: readonly ModelRun[];
  /** Exists. */
  readonly output: string;
}

const SCORE_COLUMNS: readonly (keyof Score)[] = [
  ...(['table', 'group', 'model', 'reading', 'correct', 'total', 'unanswered'] as const),
  ...(['accuracy', 'low', 'high'] as const),
];

/** @throws TrainingError FACELLM_RUN_WRITE */
export async function reportFaceXBench(options: FaceXReportOptions): Promise<BenchmarkSummary> {
  const { folder, items, isPartial, output, charts } = options;
  const runs = options.runs.map((run) => readRun(items, run));
  const results = resultsOf(options, runs);
  const published = { source: PUBLISHED_SOURCE, scores: PUBLISHED_SCORES, tasks: PUBLISHED_TASKS };
  const files = await writeReport({
    output,
    stem: 'facexbench',
    document: describeResults(results),
    json: roundedJson({ ...results, confidence: CONFIDENCE, published }),
    csv: csvOf(
      SCORE_COLUMNS,
      results.scores.map((score) => SCORE_COLUMNS.map((name) => score[name])),
    ),
    charts,
  });
  const logs: Record<string, string> = {
    'readings.jsonl': readingLines(items, runs),
    ...(folder.leftOut.length > 0 && {
      'left-out.jsonl': folder.leftOut.map((one) => `${JSON.stringify(one)}\n`).join(''),
    }),
  };
  for (const [name, text] of Object.entries(logs)) {
    await writeFileAtomic(join(output, name), text);
    files.push(name);
  }
  for (const run of runs) {
    // Without generated text there is nothing that the official scoring could read.
    if (run.picks.official === undefined) continue;
    files.push(...(await writePredictions(folder.files, items, run, output)));
  }
  const models = results.models.map((name) => ({ name, figures: figuresOf(results, name) }));
  return { benchmark: results.title, isPartial, models, table: mainTable(results), files };
}

/** One question a line: what each model said and what each reading took it for, as letters. */
function readingLines(items: readonly FaceXItem[], runs: readonly ReadRun[]): string {
  const letter = (item: FaceXItem, index: number | undefined): string | null =>
    index === undefined ? null : (item.choices[index] ?? null);
  return items
    .map((item, i) => {
      const models: Record<string, object> = {};
      for (const run of runs) {
        const picks = readingsOf(run).map(
          (reading) => [reading, letter(item, run.picks[reading]?.[i])] as const,
        );
        const { text = null, probabilities = null } = run.outcomes[i] ?? {};
        models[run.name] = { text, probabilities, ...Object.fromEntries(picks) };
      }
      const { id, tags, answer } = item;
      const line = { id, tags, answer: letter(item, answer), models };
      return `${JSON.stringify(line)}\n`;
    })
    .join('');
}
