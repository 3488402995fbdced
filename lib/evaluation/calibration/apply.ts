/**
 * Calibration files in an evaluation: which model each is for, whether it knows all that is asked, and what it makes of answers.
 * Journals keep the model's own probabilities; the calibrated ones are computed of them for the report.
 */
import { basename } from 'node:path';

import type { AskedHow, Calibration } from '../../calibration/index.js';
import { readCheckpointConfig } from '../../checkpoint/index.js';
import { createError } from '../../errors.js';
import { calibrationSubject, formText, type LoadOptions } from '../../model/index.js';
import type { AskedForm } from '../asked-form.js';
import type { LocatedModel } from '../face-llm-contender.js';
import type { Benchmark, EvaluationItem, ModelRun, UsedCalibration } from '../types.js';

interface AskedModel extends AskedHow {
  readonly name: string;
}

/** A model of the run with the file that is for it. */
interface Fitted {
  readonly model: string;
  readonly calibration: Calibration;
}

type Asked = Pick<EvaluationItem, 'prompt' | 'choices'>;

const questionOf = ({ prompt, choices }: Asked) => ({ question: prompt, choices });

/** Each question once. */
function questionsOf(items: readonly Asked[]): readonly ReturnType<typeof questionOf>[] {
  const all = items.map(questionOf).map((one) => [JSON.stringify(one), one] as const);
  return [...new Map(all).values()];
}

/** @throws DataError FACELLM_CALIBRATION_MISMATCH naming how a file's model differs from each of the run */
function modelsOf(calibration: Calibration, models: readonly AskedModel[]): readonly AskedModel[] {
  const own = models.filter(({ model }) => calibration.otherModel(model).length === 0);
  if (own.length > 0) return own;
  throw createError(
    'FACELLM_CALIBRATION_MISMATCH',
    `${calibration.name} is for no model of the run; fit one with \`facellm calibrate\` for it, or leave it out`,
    {
      details: models.flatMap(({ name, model }) =>
        calibration.otherModel(model).map((problem) => `${name}: ${problem}`),
      ),
    },
  );
}

/** @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT where two are for one model */
function checkOneEach(fitted: readonly Fitted[]): void {
  const details = fitted.flatMap(({ model, calibration }, i) => {
    const first = fitted.findIndex((one) => one.model === model);
    const name = fitted[first]?.calibration.name;
    return first === i
      ? []
      : [`calibration: ${name} and ${calibration.name} are both for ${model}`];
  });
  if (details.length === 0) return;
  throw createError('FACELLM_INVALID_ARGUMENT', 'a model has one calibration', { details });
}

function describe({ model, calibration }: Fitted, benchmark: Benchmark): UsedCalibration {
  const { fingerprint, data } = calibration.file;
  return {
    ...{ model, file: basename(calibration.name), sha256: calibration.sha256, fingerprint },
    fittedOn: data,
    isOwnData: data.sha256 === benchmark.fingerprint,
    questions: questionsOf(benchmark.items).flatMap((asked) => {
      const { temperature, isAtBound } = calibration.find(asked) ?? {};
      if (temperature === undefined || isAtBound === undefined) return [];
      return [{ question: asked.question, temperature, isAtBound }];
    }),
  };
}

/** A temperature changes no answer: the model's own most probable one stays so. */
function scaled(
  run: ModelRun,
  items: readonly EvaluationItem[],
  { calibration }: Fitted,
): ModelRun {
  const outcomes = run.outcomes.map((outcome, i) => {
    const item = items[i];
    if (item === undefined || outcome.probabilities === undefined) return outcome;
    const logProbs = outcome.probabilities.map(Math.log);
    return { ...outcome, calibrated: calibration.apply(questionOf(item), logProbs).probabilities };
  });
  return { ...run, outcomes };
}

/**
 * A benchmark whose report tells calibrated probabilities, too, of the models that a file is for.
 *
 * @throws DataError FACELLM_CALIBRATION_MISMATCH naming each difference in model, form and questions;
 *   InvalidArgumentError FACELLM_INVALID_ARGUMENT
 */
export async function withCalibrations(
  benchmark: Benchmark,
  calibrations: readonly Calibration[],
  form: AskedForm,
  located: readonly LocatedModel[],
  load: Pick<LoadOptions, 'dtype' | 'weights' | 'device'>,
): Promise<Benchmark> {
  const models = await Promise.all(
    located.map(async ({ name, directory, adapters }): Promise<AskedModel> => {
      const model = await calibrationSubject(directory, adapters, load);
      return { name, model, form: formText(form, await readCheckpointConfig(directory)) };
    }),
  );
  const asked = questionsOf(benchmark.items);
  const fitted = calibrations.flatMap((calibration) =>
    modelsOf(calibration, models).map((how): Fitted => {
      calibration.check(asked, how);
      return { model: how.name, calibration };
    }),
  );
  checkOneEach(fitted);
  const used = fitted.map((one) => describe(one, benchmark));
  return {
    ...benchmark,
    withCalibrated: (run) => {
      const own = fitted.find(({ model }) => model === run.name);
      return own === undefined ? run : scaled(run, benchmark.items, own);
    },
    report: (runs, output, how) => benchmark.report(runs, output, { ...how, calibrations: used }),
  };
}
