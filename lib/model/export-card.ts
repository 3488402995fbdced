/** The card of a checkpoint that is written anew: what it was made from, and what the cards of these said of their training. */
import { basename, join, resolve } from 'node:path';

import {
  type CardFacts,
  type CardQuantisation,
  type CardTraining,
  readCardFacts,
  writeCard,
} from '../card/index.js';
import {
  readCheckpointConfig,
  readCheckpointFiles,
  type StoredQuantisation,
} from '../checkpoint/index.js';
import { sampledWeightsHash, sha256OfFile } from '../files/index.js';
import { createError } from '../errors.js';
import { ADAPTER_WEIGHTS } from '../lora/index.js';
import { baseFacts } from './base-facts.js';
import type { ExportSource } from './export-companions.js';

/** An adapter that was trained on a model with a card repeats what that one says. */
function eachOnce(trainings: readonly CardTraining[]): readonly CardTraining[] {
  return [...new Map(trainings.map((one) => [one.fingerprint, one])).values()];
}

function quantisationOf(stored: StoredQuantisation | undefined): CardQuantisation | undefined {
  if (stored === undefined) return undefined;
  const { format, bits, group } = stored;
  return { format, bits, group };
}

/** What the cards of a model and its adapters say. */
export interface SourceCards {
  readonly before: CardFacts | undefined;
  readonly ofAdapters: readonly (CardFacts | undefined)[];
}

/**
 * Read before any weight is written, so that a damaged one costs nothing.
 *
 * @throws DataError FACELLM_DATA_INVALID
 */
export async function readSourceCards({ directory, adapters }: ExportSource): Promise<SourceCards> {
  const before = await readCardFacts(directory);
  const ofAdapters = await Promise.all(adapters.map((one) => readCardFacts(one.directory)));
  return { before, ofAdapters };
}

/**
 * @param model as the user named it
 * @param partial the new folder, its weights in it
 * @param name of the new folder
 */
export async function writeExportCard(
  model: string,
  { directory, adapters, config }: ExportSource,
  { before, ofAdapters }: SourceCards,
  partial: string,
  name: string,
): Promise<void> {
  const merged = await Promise.all(
    adapters.map(async ({ directory: folder }) => {
      const path = join(folder, ADAPTER_WEIGHTS);
      const failure = (cause: unknown): Error =>
        createError('FACELLM_CHECKPOINT_NOT_FOUND', `${path} cannot be read`, { cause });
      return { name: basename(resolve(folder)), sha256: await sha256OfFile(path, failure) };
    }),
  );
  const { dataFiles } = await readCheckpointFiles(partial);
  const written = await readCheckpointConfig(partial);
  const quantisation = quantisationOf(written.quantisation);
  const decodedFrom =
    quantisation === undefined
      ? (quantisationOf(config.quantisation) ?? before?.decodedFrom)
      : undefined;
  // With an adapter folded in they are other weights, of which nobody has said anything.
  const license = adapters.length === 0 ? before?.license : undefined;
  const facts: CardFacts = {
    kind: 'model',
    ...(license === undefined ? {} : { license }),
    // Another form of a trained model is still made from what that one was made from.
    base: before?.base ?? (await baseFacts(model, directory)),
    merged: [...(before?.merged ?? []), ...merged],
    files: [],
    weights: await sampledWeightsHash(dataFiles),
    dtype: written.dtype,
    ...(quantisation && { quantisation }),
    ...(decodedFrom && { decodedFrom }),
    trainings: eachOnce([before, ...ofAdapters].flatMap((one) => one?.trainings ?? [])),
  };
  await writeCard(partial, facts, name);
}
