/** `calibrate()`: a temperature for each question of labelled pictures, in a file that answers are scaled by. */
import { join } from 'node:path';

import {
  type CalibrationFile,
  calibrationFingerprint,
  type CalibrationSubject,
  DEFAULT_FOLDS,
  FORMAT,
  type PromptForm,
} from '../../calibration/index.js';
import { readCheckpointConfig } from '../../checkpoint/index.js';
import { InternalError } from '../../errors.js';
import { writeFileAtomic } from '../../files/index.js';
import { JobRun } from '../../jobs/index.js';
import { calibrationSubject, formText } from '../../model/index.js';
import { requireVega } from '../../packages/vega.js';
import { packageVersion } from '../../packages/version.js';
import { attributesBenchmark } from '../attributes/benchmark.js';
import { SMALL_GROUP } from '../metrics/groups.js';
import { MAX_NEW_TOKENS } from '../open-benchmark.js';
import type { EvaluationEvent } from '../run/events.js';
import type { EvaluationResult } from '../run/run-benchmark.js';
import { scoreModels } from '../score-models.js';
import type { Benchmark } from '../types.js';
import { asFields, chooseByField, fieldOf } from './extract-fields.js';
import { fitQuestions } from './fit.js';
import { type CalibrateOptions, checkCalibrateOptions } from './options.js';
import { writeCalibrationReport } from './report.js';

export interface CalibrationResult extends EvaluationResult {
  /** OUTPUT/calibration.json; absent while questions are missing. */
  readonly file: string | undefined;
}

export type CalibrationRun = JobRun<EvaluationEvent, CalibrationResult>;

/**
 * Asks a model about labelled pictures and fits a temperature for each question, so that answers of a probability of 80 % are
 * right in 80 % of cases. Figures are of items whose labels had no part in their temperature. Use pictures that the model was not
 * trained on. `stop()` ends the run with what is answered saved; the same call goes on from there.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT listing every wrong option. The run rejects as that of
 *   `evaluate`, and with DataError FACELLM_CALIBRATION_INVALID for too few labels or a schema without the attributes
 */
export function calibrate(options: CalibrateOptions): CalibrationRun {
  checkCalibrateOptions(options);
  const own = { ...options };
  return new JobRun((run) => calibrateWith(own, run));
}

async function calibrateWith(
  options: CalibrateOptions,
  run: CalibrationRun,
): Promise<CalibrationResult> {
  const { extract, adapter, model, subfolder } = options;
  if (options.charts ?? true) {
    await requireVega('leave charts out with charts: false (--no-charts)');
  }
  const asked = await attributesBenchmark({ ...options, readings: ['probability'] });
  const benchmark = extract === undefined ? asked : asFields(asked, extract);
  const file = join(options.output, 'calibration.json');
  const result = await scoreModels(
    {
      ...{
        options,
        prompt: options.prompt ?? {},
        benchmark,
        maxNewTokens: MAX_NEW_TOKENS.attributes,
      },
      models: [{ name: 'model', model, subfolder, adapter: [adapter ?? []].flat() }],
      benchmarkOptions: {
        limit: options.limit ?? null,
        ...(extract !== undefined && {
          question: extract.question,
          schema: fieldOf(extract, '').schema,
          ...(extract.maxNewTokens !== undefined && { maxNewTokens: extract.maxNewTokens }),
        }),
      },
      ...(extract !== undefined && { choose: chooseByField(extract) }),
      settle: async (plain, form, [located]) => {
        if (located === undefined) throw new InternalError('FACELLM_INTERNAL', 'no model is asked');
        const { directory, adapters } = located;
        const subject = await calibrationSubject(directory, adapters, options);
        const written = formText(form, await readCheckpointConfig(directory));
        return calibrating(plain, options, subject, written, file);
      },
    },
    run,
  );
  return { ...result, file: result.summary === undefined ? undefined : file };
}

/** The benchmark whose report is the calibration. */
function calibrating(
  benchmark: Benchmark,
  options: CalibrateOptions,
  model: CalibrationSubject,
  form: PromptForm,
  path: string,
): Benchmark {
  const { folds = DEFAULT_FOLDS, seed = 0, smallGroup = SMALL_GROUP, extract } = options;
  const { items, isPartial, fingerprint: sha256 } = benchmark;
  return {
    ...benchmark,
    report: async ([answers], output, how) => {
      const outcomes = answers?.outcomes ?? [];
      const fitted = fitQuestions({
        ...{ items, outcomes, folds, seed, smallGroup },
        fieldOf: (name) => (extract === undefined ? undefined : fieldOf(extract, name)),
      });
      const failed = outcomes.filter(({ failure }) => failure !== undefined).length;
      const notes = [
        ...benchmark.notes,
        ...(failed === 0 ? [] : [`${failed} question(s) could not be asked and are left out`]),
      ];
      const pictures = new Set(items.flatMap(({ images }) => images)).size;
      const calibration: CalibrationFile = {
        ...{ format: FORMAT, facellm: packageVersion() },
        fingerprint: calibrationFingerprint({ model, form }),
        ...{ model, form, data: { benchmark: benchmark.name, sha256, pictures }, folds, seed },
        questions: fitted.map(({ question }) => question),
      };
      const charts = how?.charts;
      const report = { output, file: calibration, fitted, isPartial, notes, charts };
      const summary = await writeCalibrationReport(report);
      // Last: whoever finds it finds its report, too.
      await writeFileAtomic(path, `${JSON.stringify(calibration, null, 2)}\n`);
      return summary;
    },
  };
}
