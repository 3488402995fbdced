/** What is measured after training goes onto the card: scores, a calibration, the licence. */
import { readCalibration } from '../../calibration/index.js';
import { type CardFacts, readCardFacts, updateCard, type WrittenCard } from '../../card/index.js';
import { resolveCheckpoint } from '../../checkpoint/index.js';
import { createError, InvalidArgumentError } from '../../errors.js';
import { calibrationSubject } from '../../model/index.js';
import { checkFields, fields, name } from '../../options/index.js';
import type { MeasuredWeights } from './measured-run.js';
import { readScores } from './read-scores.js';

export interface ModelCardOptions {
  /** Result of `train` or `mergeAdapter`: a folder with facellm_card.yaml. */
  readonly directory: string;
  /** Output of `evaluate`, benchmark `attributes`, of these weights. */
  readonly scores?: string | undefined;
  /** File of `calibrate`, of these weights. */
  readonly calibration?: string | undefined;
  /** Of the weights: the hub's word for it, such as apache-2.0. */
  readonly license?: string | undefined;
  /** The base of an adapter: needed with `scores` and `calibration`, which are held against both. */
  readonly model?: string | undefined;
}

const path = name('a path');
const options = fields<ModelCardOptions>({
  directory: path,
  scores: path.optional(),
  calibration: path.optional(),
  license: name('the name of a licence').optional(),
  model: name('a folder, or a hub id in the local cache').optional(),
});

/** What measurements are held against. */
async function measuredWeights(
  { directory, model }: ModelCardOptions,
  { kind }: CardFacts,
): Promise<MeasuredWeights> {
  if (kind !== 'adapter') return { base: directory, adapter: undefined };
  if (model !== undefined) return { base: await resolveCheckpoint(model), adapter: directory };
  throw new InvalidArgumentError(
    'FACELLM_INVALID_ARGUMENT',
    'model: expected the base of the adapter (--model), so that what was measured can be held against both',
  );
}

async function calibrationOf(
  file: string,
  { base, adapter }: MeasuredWeights,
): Promise<CardFacts['calibration']> {
  const { model: fitted, questions } = (await readCalibration(file)).file;
  const { dtype } = fitted;
  const adapters = adapter === undefined ? [] : [adapter];
  const own = await calibrationSubject(base, adapters, { dtype });
  const hashes = ({ adapters: all }: typeof own): string => all.map(({ hash }) => hash).join(' ');
  if (own.checkpoint !== fitted.checkpoint || hashes(own) !== hashes(fitted)) {
    throw createError(
      'FACELLM_CALIBRATION_MISMATCH',
      `${file} was fitted on other weights than those in ${adapter ?? base}; run facellm calibrate on these`,
    );
  }
  return questions.map(({ name: question, count, temperature, ece }) => ({
    ...{ name: question, count, temperature, eceBefore: ece.before, eceAfter: ece.after },
  }));
}

/**
 * Adds to the card of trained or merged weights. What was measured on other weights is refused; a README.md that somebody has changed
 * stays as it is, and the card then stands beside it.
 *
 * @throws InvalidArgumentError; DataError FACELLM_DATA_NOT_FOUND, FACELLM_DATA_INVALID, FACELLM_CALIBRATION_INVALID,
 *   FACELLM_CALIBRATION_MISMATCH; CheckpointError; TrainingError FACELLM_RUN_WRITE
 */
export async function updateModelCard(given: ModelCardOptions): Promise<WrittenCard> {
  const checked = checkFields(options, given, 'the options of the card are wrong');
  const { directory, scores, calibration, license } = checked;
  const facts = await readCardFacts(directory);
  if (facts === undefined) return updateCard(directory, {}); // says what is missing
  const measured = scores !== undefined || calibration !== undefined;
  const weights = measured ? await measuredWeights(checked, facts) : undefined;
  return updateCard(directory, {
    ...(license === undefined ? {} : { license }),
    ...(scores && weights ? { scores: await readScores(scores, weights) } : {}),
    ...(calibration && weights ? { calibration: await calibrationOf(calibration, weights) } : {}),
  });
}
