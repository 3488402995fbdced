/**
 * From the journal to the files of a dataset, in the order of the plan and in constant memory: the same
 * answers give the same bytes, whenever and in whatever order they came.
 */
import { isAbsolute, join, relative, resolve } from 'node:path';

import { AtomicFile } from '../../files/index.js';
import { INFO_NAME } from '../dataset-info.js';
import type { Judge, JudgedAnswer } from '../judging/judge.js';
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
  ...(['teacher', 'model', 'prompt_set', 'person'] as const),
  ...ATTRIBUTES,
].map((name): ParquetColumn => ({ name, type: 'STRING' }));
const JUDGE_COLUMNS: readonly ParquetColumn[] = [
  { name: 'judge_support', type: 'DOUBLE' },
  { name: 'judge_doubtful', type: 'INT32' },
];

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
  readonly judge: Judge | undefined;
}

/** Of a record: what a judge says of its answer, where it has been asked about it. */
function judgeKeys({ verdict, isDoubtful }: JudgedAnswer): Readonly<Record<string, unknown>> {
  if (verdict.kind !== 'judged') return {};
  return { judge_support: shortened(verdict.support), judge_doubtful: isDoubtful };
}

function judgeCells({ verdict, isDoubtful }: JudgedAnswer): (number | null)[] {
  if (verdict.kind !== 'judged') return [null, null];
  return [shortened(verdict.support), Number(isDoubtful)];
}

const shortened = (share: number): number => Number(share.toPrecision(6));

/** Why a judged answer is not in the dataset. */
function judgedAside(id: string, { verdict }: JudgedAnswer): string {
  if (verdict.kind !== 'judged') return JSON.stringify({ id, reason: 'judge_open' });
  const told = verdict.claims.map((one) => `${one.claimed} ${shortened(one.support)}`);
  return JSON.stringify({ id, reason: 'judge', detail: told.join(', ') });
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
  { plan, journal, output, judge }: WriteContext,
  json: AtomicFile,
  parquet: ParquetFile,
  judgedAsides: string[],
): Promise<DatasetStatistics> {
  const statistics = new StatisticsCounter(journal.ledger.count('answered'));
  let separator = '[\n';
  for (const pairs of windows(journal, 'answered')) {
    for (const entry of await journal.read(pairs)) {
      if (entry.type !== 'answer') continue;
      const { i, id, text, teacher, model = teacher, promptSet } = entry;
      const image = plan.image(i);
      const question = plan.question(i);
      const judged = judge?.judge(i, text);
      if (judged !== undefined && !judged.isKept) {
        judgedAsides.push(judgedAside(id, judged));
        continue;
      }
      const { person, labels } = image;
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
        ...(person === undefined ? {} : { person }),
        ...labels,
        ...(judged === undefined ? {} : judgeKeys(judged)),
      };
      await json.write(`${separator}${JSON.stringify(record)}`);
      separator = ',\n';
      await parquet.write([
        ...[id, name, image.file, question.id, question.student, text, teacher, model, promptSet],
        person ?? null,
        ...ATTRIBUTES.map((attribute) => labels[attribute] ?? null),
        ...(judged === undefined ? [] : judgeCells(judged)),
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
  judgedAsides: readonly string[],
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
  for (const line of judgedAsides) await file.write(`${line}\n`);
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
  const columns = [...PARQUET_COLUMNS, ...(context.judge === undefined ? [] : JUDGE_COLUMNS)];
  const parquet = await ParquetFile.open(join(output, PARQUET_NAME), columns);
  const open = [json, info, setAside, parquet];
  try {
    const judgedAsides: string[] = [];
    const statistics = await writeRecords(absolute, json, parquet, judgedAsides);
    await writeSetAside(absolute, setAside, judgedAsides);
    await info.write(datasetInfo(context.plan.prompts.name));
    for (const file of open) await file.commit();
    const files = [DATASET_NAME, INFO_NAME, SET_ASIDE_NAME, PARQUET_NAME];
    return { statistics, files };
  } finally {
    for (const file of open) await file.discard();
  }
}
