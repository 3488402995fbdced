/** Puts the closed questions that answers claim to the judge, each once a picture, whoever of its answers claims it. */
import { readFile } from 'node:fs/promises';

import { FaceLlmError, ImageError } from '../../errors.js';
import { sha256, systemCode } from '../../files/index.js';
import { prefetch } from '../../jobs/index.js';
import type { ChoosingModel } from '../../model/index.js';
import type { Plan } from '../synthesis/plan.js';
import { itemsOfImage, type JudgeItem } from './claims.js';
import type { JudgeJournal, PictureJudgement } from './judge-journal.js';

/** Under way at a time, so that their questions share steps. */
const AHEAD = 8;
/** `choose` takes no more. */
const ITEMS_AT_ONCE = 64;
const DURABLE_EVERY = 32;

/** As fp32 holds it, in nine digits: what is written is what is read again. */
const rounded = (value: number): number => Number(Math.fround(value).toPrecision(9));

async function sharesOf(
  model: ChoosingModel,
  image: Uint8Array,
  items: readonly JudgeItem[],
  signal: AbortSignal,
): Promise<PictureJudgement['shares']> {
  const shares: [string, number[]][] = [];
  for (let from = 0; from < items.length; from += ITEMS_AT_ONCE) {
    const part = items.slice(from, from + ITEMS_AT_ONCE);
    const results = await model.choose({ image, items: part, signal });
    part.forEach(({ id }, k) => {
      const choices = results[k]?.choices ?? [];
      shares.push([id, choices.map(({ probability }) => rounded(probability))]);
    });
  }
  return Object.fromEntries(shares);
}

/** What the judge says of the picture as it is now: what it has said, where the picture is the same. */
async function judgePicture(
  model: ChoosingModel,
  plan: Plan,
  i: number,
  known: PictureJudgement | undefined,
  signal: AbortSignal,
): Promise<PictureJudgement> {
  const { file = '', path = '' } = plan.images[i] ?? {};
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    const problem = `cannot be read (${systemCode(error)})`;
    return known ?? { i, file, sha256: null, shares: {}, problem };
  }
  const hash = sha256(bytes);
  if (known?.sha256 === hash) return known;
  try {
    const shares = await sharesOf(model, bytes, itemsOfImage(plan, i), signal);
    return { i, file, sha256: hash, shares };
  } catch (error) {
    signal.throwIfAborted();
    const isOfPicture =
      error instanceof ImageError ||
      (error instanceof FaceLlmError && error.code === 'FACELLM_NO_FACE');
    if (!isOfPicture) throw error;
    return { i, file, sha256: hash, shares: {}, problem: error.message };
  }
}

/**
 * Asks about all pictures that are not judged yet, and about those that have changed since. What is recorded is durable when this
 * settles.
 *
 * @param images numbers of pictures in the plan
 * @returns whether all are judged: false where the run was stopped
 * @throws what the judge throws when it is gone; TrainingError FACELLM_RUN_WRITE
 */
export async function askJudge(
  model: ChoosingModel,
  plan: Plan,
  journal: JudgeJournal,
  images: readonly number[],
  stopSignal: AbortSignal,
  tell: (done: number, total: number) => void,
): Promise<boolean> {
  const asked = images.filter((i) => itemsOfImage(plan, i).length > 0);
  let done = images.length - asked.length;
  tell(done, images.length);
  try {
    for await (const judgement of prefetch(asked, AHEAD, async (i) => {
      stopSignal.throwIfAborted();
      return judgePicture(model, plan, i, journal.of(i), stopSignal);
    })) {
      journal.record(judgement);
      if (++done % DURABLE_EVERY === 0) await journal.durable();
      tell(done, images.length);
    }
  } catch (error) {
    if (!stopSignal.aborted) throw error;
  }
  await journal.durable();
  return done === images.length;
}
