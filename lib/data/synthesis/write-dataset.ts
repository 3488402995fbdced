/**
 * From the journal to the files of a dataset, in the order of the plan and in constant memory: the same
 * answers give the same bytes, whenever and in whatever order they came.
 */
import { isAbsolute, join, relative, resolve } from 'node:path';

import { AtomicFile } from '../../files/index.js';
import { INFO_NAME } from '../dataset-info.js';
import type { SkippedRow } from '../labels/read-labels.js';
import { ATTRIBUTES } from '../labels/vocabulary.js';
import { ParquetFile, type ParquetColumn } from './parquet-file.js';
import type { Plan } from './plan.js';
import type { RunJournal } from './run-journal.js';
import { type DatasetStatistics, StatisticsCounter } from './statistics.js';

export const DATASET_NAME = 'dataset.json';
export const PARQUET_NAME = 'dataset.parquet';
export const SET_ASIDE_NAME = 'set_aside.jsonl';
const WINDOW = 512;

const PARQUET_COLUMNS: readonly ParquetColumn[] = [
  ...(['id', 'image', 'file', 'question', 'human', 'gpt'] as const),
  ...(['teacher', 'model', 'prompt_set'] as const),
  ...ATTRIBUTES,
].map((name): ParquetColumn => ({ name, type: 'STRING' }));

/**
 * A picture as the dataset names it: relative to the dataset's folder, which is where LLaMA-Factory and
 * our own reader start; absolute only on another drive.
 */
function imageName(output: string, path: string): string {
  const name = relative(output, path);
  return isAbsolute(name) ? name : name.replaceAll('\\', '/');
}

/** An entry that LLaMA-Factory and `readDataset` understand alike. */
function datasetInfo(name: string): string {
  const info = {
    [name]: {
      file_name: DATASET_NAME,
      formatting: 'sharegpt',
      columns: { messages: 'conversations', images: 'images' },
      tags: {
        ...{ role_tag: 'from', content_tag: 'value' },
        ...{ user_tag: 'human', assistant_tag: 'gpt' },
      },
    },
  };
  return `${JSON.stringify(info, null, 2)}\n`;
}

export interface WrittenDataset {
  readonly statistics: DatasetStatistics;
  /** Names of the files, relative to the output folder. */
  readonly files: readonly string[];
}

interface WriteContext {
  readonly plan: Plan;
  readonly journal: RunJournal;
  readonly output: string;
  readonly skipped: readonly SkippedRow[];
}

/** Pairs of one status, so many at a time. */
function* windows(journal: RunJournal, status: 'answered' | 'aside'): Generator<number[]> {
  let window: number[] = [];
  for (const pair of journal.ledger.pairs(status)) {
    window.push(pair);
    if (window.length < WINDOW) continue;
    yield window;
    window = [];
  }
  if (window.length > 0) yield window;
}

async function writeRecords(
  { plan, journal, output }: WriteContext,
  json: AtomicFile,
  parquet: ParquetFile,
): Promise<DatasetStatistics> {
  const statistics = new StatisticsCounter(journal.ledger.count('answered'));
  let separator = '[\n';
  for (const pairs of windows(journal, 'answered')) {
    for (const entry of await journal.read(pairs)) {
      if (entry.type !== 'answer') continue;
      const { i, id, text, teacher, model = teacher, promptSet } = entry;
      const image = plan.image(i);
      const question = plan.question(i);
      const name = imageName(output, image.path);
      const record = {
        id,
        conversations: [
          { from: 'human', value: `<image>\n${question.student}` },
          { from: 'gpt', value: text },
        ],
        images: [name],
        teacher: model,
        prompt_set: promptSet,
      };
      await json.write(`${separator}${JSON.stringify(record)}`);
      separator = ',\n';
      await parquet.write([
        ...[id, name, image.file, question.id, question.student, text, teacher, model, promptSet],
        ...ATTRIBUTES.map((attribute) => image.labels[attribute] ?? null),
      ]);
      statistics.add(image, question.id, text);
    }
  }
  await json.write(separator === ',\n' ? '\n]\n' : '[]\n');
  return statistics.result();
}

/** One line for each thing that is not in the dataset, with the reason. */
async function writeSetAside(
  { plan, journal, skipped }: WriteContext,
  file: AtomicFile,
): Promise<void> {
  for (const { line, problems } of skipped) {
    await file.write(`${JSON.stringify({ line, reason: 'row', problems })}\n`);
  }
  for (const pair of journal.ledger.pairs('unasked')) {
    const detail = plan.obstacle(pair);
    await file.write(`${JSON.stringify({ id: plan.id(pair), reason: 'not_asked', detail })}\n`);
  }
  for (const pairs of windows(journal, 'aside')) {
    for (const entry of await journal.read(pairs)) {
      if (entry.type !== 'aside') continue;
      const { id, reason, detail, attempts } = entry;
      await file.write(`${JSON.stringify({ id, reason, detail, attempts })}\n`);
    }
  }
}

/**
 * Writes dataset.json, its dataset_info.json, dataset.parquet and set_aside.jsonl. Each file is whole
 * or as it was before.
 *
 * @throws TrainingError FACELLM_RUN_WRITE
 */
export async function writeDataset(context: WriteContext): Promise<WrittenDataset> {
  const output = resolve(context.output);
  const absolute = { ...context, output };
  const json = await AtomicFile.open(join(output, DATASET_NAME));
  const info = await AtomicFile.open(join(output, INFO_NAME));
  const setAside = await AtomicFile.open(join(output, SET_ASIDE_NAME));
  const parquet = await ParquetFile.open(join(output, PARQUET_NAME), PARQUET_COLUMNS);
  const open = [json, info, setAside, parquet];
  try {
    const statistics = await writeRecords(absolute, json, parquet);
    await writeSetAside(absolute, setAside);
    await info.write(datasetInfo(context.plan.prompts.name));
    for (const file of open) await file.commit();
    const files = [DATASET_NAME, INFO_NAME, SET_ASIDE_NAME, PARQUET_NAME];
    return { statistics, files };
  } finally {
    for (const file of open) await file.discard();
  }
}
