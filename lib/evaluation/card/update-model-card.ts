/** What is measured after training goes onto the card: scores, a calibration, the licence. */
import { readCalibration } from '../../calibration/index.js';
import { type CardFacts, readCardFacts, updateCard, type WrittenCard } from '../../card/index.js';
import { resolveCheckpoint } from '../../checkpoint/index.js';
import { createError, InvalidArgumentError } from '../../errors.js';
import { calibrationSubject } from '../../model/index.js';
import { checkFields, fields, name } from '../../options/index.js';
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
  /** The base of an adapter: needed with `calibration`, which is held against both. */
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

async function calibrationOf(
  file: string,
  { directory, model }: ModelCardOptions,
  { kind }: CardFacts,
): Promise<CardFacts['calibration']> {
  const { model: fitted, questions } = (await readCalibration(file)).file;
  const isAdapter = kind === 'adapter';
  const base = isAdapter ? model : directory;
  if (base === undefined) {
    throw new InvalidArgumentError(
      'FACELLM_INVALID_ARGUMENT',
      'model: expected the base of the adapter, so that the calibration can be held against both',
    );
  }
  const { dtype } = fitted;
  const adapters = isAdapter ? [directory] : [];
  const own = await calibrationSubject(await resolveCheckpoint(base), adapters, { dtype });
  const hashes = ({ adapters: all }: typeof own): string => all.map(({ hash }) => hash).join(' ');
  if (own.checkpoint !== fitted.checkpoint || hashes(own) !== hashes(fitted)) {
    throw createError(
      'FACELLM_CALIBRATION_MISMATCH',
      `${file} was fitted on other weights than those in ${directory}; run facellm calibrate on these`,
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
  return updateCard(directory, {
    ...(license === undefined ? {} : { license }),
    ...(scores === undefined
      ? {}
      : { scores: await readScores(scores, directory, facts.kind === 'adapter') }),
    ...(calibration === undefined
      ? {}
      : { calibration: await calibrationOf(calibration, checked, facts) }),
  });
}
