/** The end of making a dataset: its files, the judge's sheet, the card and the summary are written, and it is told what came of it. */
import { join, resolve } from 'node:path';

import { writeFileAtomic } from '../../files/index.js';
import type { Judge } from '../judging/judge.js';
import { dataCard } from './data-card.js';
import type { GenerationEnd, GenerationResult } from './events.js';
import type { GenerateOptions } from './options.js';
import { type Prepared, promptSetOf } from './plan-dataset.js';
import type { Progress } from './progress.js';
import type { RunJournal } from './run-journal.js';
import { writeDataset } from './write-dataset.js';

const CARD_NAME = 'README.md';
const SUMMARY_NAME = 'summary.json';

export async function writeResults(
  options: GenerateOptions,
  { plan, labelled, prices }: Prepared,
  journal: RunJournal,
  progress: Progress,
  end: GenerationEnd,
  judge: Judge | undefined,
): Promise<GenerationResult> {
  const output = resolve(options.output);
  const { ledger } = journal;
  const written = await writeDataset({ plan, journal, output, skipped: labelled.skipped, judge });
  const sheet = (await judge?.writeSheet(output)) ?? [];
  const result: GenerationResult = {
    output,
    end,
    total: ledger.size - ledger.count('unasked'),
    answered: ledger.count('answered'),
    thinkingCut: journal.thinkingCut,
    setAside: Object.fromEntries([...journal.asides].filter(([, count]) => count > 0)),
    unasked: ledger.count('unasked'),
    open: ledger.count('open') + ledger.count('in_batch'),
    skippedRows: labelled.skipped.length,
    rejected: Object.fromEntries(journal.rejections),
    failedRequests: progress.failedRequests,
    spending: journal.account.spending,
    teacher: { name: options.teacher.name, ...options.teacher.identity },
    promptSet: promptSetOf(plan),
    ...(judge === undefined ? {} : { judgement: judge.summary() }),
    statistics: written.statistics,
    files: [...written.files, ...sheet, CARD_NAME, SUMMARY_NAME],
    seconds: progress.seconds,
  };
  const { license } = options;
  const { sha256: labelsSha256, isFairFace } = labelled;
  const { prompts } = plan;
  const card = dataCard({ result, prompts, labelsSha256, license, isFairFace, prices });
  await writeFileAtomic(join(output, CARD_NAME), card);
  await writeFileAtomic(join(output, SUMMARY_NAME), `${JSON.stringify(result, null, 2)}\n`);
  return result;
}
