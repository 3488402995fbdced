/**
 * What a judge has said, a line a picture. The file is named by who was asked what: another judge has a file of its own, and
 * thresholds ask nothing anew.
 */
import { join } from 'node:path';

import { z } from 'zod';

import { createError } from '../../errors.js';
import { JournalFile, sha256 } from '../../files/index.js';
import type { JudgeItem } from './claims.js';

/** Of one picture. */
export interface PictureJudgement {
  /** Number of the picture in the plan. */
  readonly i: number;
  readonly file: string;
  /** Of the picture's bytes; null where it could not be read. */
  readonly sha256: string | null;
  /** Probabilities of the choices of each item, in their order. */
  readonly shares: Readonly<Record<string, readonly number[]>>;
  /** Why it could not be asked about. */
  readonly problem?: string | undefined;
}

const line = z.object({
  i: z.number().int().nonnegative(),
  file: z.string(),
  sha256: z.string().nullable(),
  shares: z.record(z.string(), z.array(z.number())),
  problem: z.string().optional(),
});
const DIGITS = 12;

export class JudgeJournal implements AsyncDisposable {
  readonly #known: Map<number, PictureJudgement>;
  readonly #file: JournalFile;

  private constructor(file: JournalFile, known: Map<number, PictureJudgement>) {
    this.#file = file;
    this.#known = known;
  }

  /**
   * @param judge tells judges apart whose answers may differ
   * @throws TrainingError FACELLM_RUN_INVALID, FACELLM_RUN_WRITE
   */
  static async open(
    folder: string,
    judge: string,
    items: readonly JudgeItem[],
  ): Promise<JudgeJournal> {
    const name = `judge-${sha256(JSON.stringify([judge, items])).slice(0, DIGITS)}.jsonl`;
    const path = join(folder, name);
    const known = new Map<number, PictureJudgement>();
    const file = await JournalFile.open(path, (entry) => {
      const parsed = line.safeParse(entry);
      if (parsed.success) {
        if (parsed.data.sha256 !== null) known.set(parsed.data.i, parsed.data);
      } else {
        throw createError(
          'FACELLM_RUN_INVALID',
          `${path} holds a line that is none of this version's; remove the file, and the judge is asked again`,
        );
      }
    });
    return new JudgeJournal(file, known);
  }

  of(image: number): PictureJudgement | undefined {
    return this.#known.get(image);
  }

  /** What is known already is not written again; what could not be read holds for this run alone: the next one may read it. */
  record(judgement: PictureJudgement): void {
    if (judgement === this.#known.get(judgement.i)) return;
    if (judgement.sha256 !== null) this.#file.append({ ...judgement });
    this.#known.set(judgement.i, judgement);
  }

  durable(): Promise<void> {
    return this.#file.durable();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#file.close();
  }
}
