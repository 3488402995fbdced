/** A judge over a dataset's answers: its options, its verdicts while the files are written, its sheet. */
import { join } from 'node:path';

import type { z } from 'zod';

import { sha256, writeFileAtomic } from '../../files/index.js';
import type { ChoosingModel } from '../../model/index.js';
import { field, fields, number, whole, word } from '../../options/index.js';
import { Least } from '../../sheet/index.js';
import type { Plan } from '../synthesis/plan.js';
import { askJudge } from './ask-judge.js';
import { judgeItems } from './claims.js';
import { JudgeJournal } from './judge-journal.js';
import { judgeSheet, type SheetAnswer } from './judge-sheet.js';
import { type JudgeAction, type JudgementSummary, JudgementTally } from './tally.js';
import { type Verdict, verdictOf } from './verdict.js';

export interface JudgeOptions {
  /** A loaded model, which the caller disposes of, or anything that tells probabilities of answers. */
  readonly model: ChoosingModel;
  /** Least probability that what an answer claims must have. @default 0.2 */
  readonly threshold?: number | undefined;
  /** What becomes of an answer below it: `drop` leaves it out of the dataset, `mark` keeps it and says so. @default 'drop' */
  readonly action?: JudgeAction | undefined;
  /** Answers on judge.html, the least supported first; 0: no sheet. @default 100 */
  readonly sheetRows?: number | undefined;
}

export const SHEET_NAME = 'judge.html';
const THRESHOLD = 0.2;
const SHEET_ROWS = 100;
/** Some 30 kB each. */
const MOST_SHEET_ROWS = 2000;
const DIGITS = 12;

export const judgeOptions: z.ZodType<JudgeOptions> = fields<JudgeOptions>({
  model: field<ChoosingModel>(
    'a loaded model, or what has its fingerprint and its choose()',
    (value) =>
      typeof value === 'object' && value !== null && 'fingerprint' in value && 'choose' in value,
  ),
  threshold: number('a probability of 0..1', 0, 1).optional(),
  action: word('drop', 'mark').optional(),
  sheetRows: whole(0, MOST_SHEET_ROWS).optional(),
});

export interface JudgedAnswer {
  readonly verdict: Verdict;
  /** Judged, and below the threshold. */
  readonly isDoubtful: boolean;
  /** Goes into the dataset. */
  readonly isKept: boolean;
}

export class Judge implements AsyncDisposable {
  readonly threshold: number;
  readonly action: JudgeAction;
  readonly #options: JudgeOptions;
  readonly #plan: Plan;
  readonly #journal: JudgeJournal;
  readonly #tally = new JudgementTally();
  readonly #least: Least<SheetAnswer>;

  private constructor(options: JudgeOptions, plan: Plan, journal: JudgeJournal) {
    this.#options = options;
    this.threshold = options.threshold ?? THRESHOLD;
    this.action = options.action ?? 'drop';
    this.#plan = plan;
    this.#journal = journal;
    this.#least = new Least(options.sheetRows ?? SHEET_ROWS);
  }

  /** @throws TrainingError FACELLM_RUN_INVALID, FACELLM_RUN_WRITE */
  static async open(folder: string, options: JudgeOptions, plan: Plan): Promise<Judge> {
    const { contentHash, fingerprint } = options.model;
    const items = judgeItems(plan.prompts.questions);
    const journal = await JudgeJournal.open(folder, contentHash ?? fingerprint, items);
    return new Judge(options, plan, journal);
  }

  /** As `askJudge`. */
  ask(
    images: readonly number[],
    stopSignal: AbortSignal,
    tell: (done: number, total: number) => void,
  ): Promise<boolean> {
    return askJudge(this.#options.model, this.#plan, this.#journal, images, stopSignal, tell);
  }

  /** Counts it, too: to be called once an answer. */
  judge(pair: number, text: string): JudgedAnswer {
    const i = Math.floor(pair / this.#plan.prompts.questions.length);
    const judgement = this.#journal.of(i);
    const verdict = verdictOf(this.#plan, pair, text, judgement);
    const image = this.#plan.image(pair);
    const question = this.#plan.question(pair);
    const isDoubtful = verdict.kind === 'judged' && verdict.support < this.threshold;
    this.#tally.add(image, question.id, verdict, isDoubtful);
    if (verdict.kind === 'judged') {
      const { file, path } = image;
      const hash = judgement?.sha256 ?? null;
      const { student, id } = question;
      const answer = { file, path, sha256: hash, question: student, id, text };
      this.#least.add({ ...answer, verdict, isDoubtful }, verdict.support);
    }
    const isKept = verdict.kind !== 'open' && !(isDoubtful && this.action === 'drop');
    return { verdict, isDoubtful, isKept };
  }

  summary(): JudgementSummary {
    const { contentHash, fingerprint } = this.#options.model;
    const judge = sha256(contentHash ?? fingerprint).slice(0, DIGITS);
    return this.#tally.summary({ judge, threshold: this.threshold, action: this.action });
  }

  /** @returns the names of the files written: none where no sheet was asked for */
  async writeSheet(folder: string): Promise<readonly string[]> {
    if ((this.#options.sheetRows ?? SHEET_ROWS) === 0) return [];
    const html = await judgeSheet(this.#least.items, this.summary());
    await writeFileAtomic(join(folder, SHEET_NAME), html);
    return [SHEET_NAME];
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#journal[Symbol.asyncDispose]();
  }
}
