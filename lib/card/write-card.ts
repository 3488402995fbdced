/** Cards on disk. A README.md that is not ours, or that somebody has changed, stays as it is. */
import { rm } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';

import { stringify } from 'yaml';

import { createError } from '../errors.js';
import { readOptionalText, sha256, writeFileAtomic } from '../files/index.js';
import { CARD_FACTS, type CardFacts, readCardFacts, withFormat } from './facts.js';
import { modelCard } from './model-card.js';

export const CARD = 'README.md';
/** Where README.md is somebody's own. */
export const OWN_CARD = 'README.facellm.md';

export interface WrittenCard {
  /** Absolute. */
  readonly path: string;
  /** README.md was there and is not as we wrote it: it was left, and the card stands beside it. */
  readonly keptReadme: boolean;
}

const MARK =
  /\n<!-- facellm card ([0-9a-f]{64}); change it freely: it is then left as it is -->\n$/;

const marked = (text: string): string =>
  `${text}\n<!-- facellm card ${sha256(text)}; change it freely: it is then left as it is -->\n`;

/** As we wrote it, to the byte. */
function isOurs(text: string): boolean {
  const [mark, hash] = MARK.exec(text) ?? [];
  return mark !== undefined && sha256(text.slice(0, -mark.length)) === hash;
}

/**
 * Writes facellm_card.yaml and the card into a folder of weights.
 *
 * @param name by which the card calls the weights. @default the folder's
 * @throws TrainingError FACELLM_RUN_WRITE
 */
export async function writeCard(
  directory: string,
  facts: CardFacts,
  name: string = basename(resolve(directory)),
): Promise<WrittenCard> {
  await writeFileAtomic(
    join(directory, CARD_FACTS),
    stringify(withFormat(facts), { lineWidth: 0 }),
  );
  const text = marked(modelCard(facts, name));
  const readme = join(directory, CARD);
  const codes = { unreadable: 'FACELLM_RUN_WRITE', invalid: 'FACELLM_RUN_WRITE' } as const;
  // What cannot be read, or is no UTF-8, we have not written: it stays, and ends no training.
  const before = await readOptionalText(readme, codes).catch(() => '');
  const keptReadme = before !== undefined && !isOurs(before);
  const path = resolve(directory, keptReadme ? OWN_CARD : CARD);
  await writeFileAtomic(path, text);
  if (!keptReadme) await rm(join(directory, OWN_CARD), { force: true });
  return { path, keptReadme };
}

/**
 * Adds to what a folder's card says.
 *
 * @throws DataError FACELLM_DATA_NOT_FOUND where the folder has no card of ours, FACELLM_DATA_INVALID; TrainingError FACELLM_RUN_WRITE
 */
export async function updateCard(
  directory: string,
  changes: Partial<Pick<CardFacts, 'license' | 'scores' | 'calibration'>>,
): Promise<WrittenCard> {
  const facts = await readCardFacts(directory);
  if (facts === undefined) {
    throw createError(
      'FACELLM_DATA_NOT_FOUND',
      `${directory} has no ${CARD_FACTS}: expected the result of facellm train or facellm merge`,
    );
  }
  return writeCard(directory, { ...facts, ...changes });
}
