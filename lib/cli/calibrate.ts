/** `facellm calibrate`: temperatures fitted on labelled pictures, with their report; the same command goes on where it ended. */
import { InvalidArgumentError } from '../errors.js';
import { calibrate, type CalibratedSchema, type CalibrationResult } from '../evaluation/index.js';
import { fetchModels } from './download-reporter.js';
import { benchmarkChoice, describeMissing, type EvaluateFlags, follow } from './evaluate.js';
import { pictureOptions } from './face-options.js';
import { Interrupted, interruptSignal } from './interrupt.js';
import { loadOptionsOf } from './options.js';
import { type Console, table } from './output.js';
import { loadSchema } from './schema-file.js';

export interface CalibrateFlags extends Omit<
  EvaluateFlags,
  'tuned' | 'reading' | 'onFailure' | 'setting' | 'pairs' | 'calibration'
> {
  readonly schema?: string;
  readonly question?: string;
  readonly folds?: number;
}

/** @throws InvalidArgumentError for one flag without the other; DataError for a file that is no schema */
async function schemaOf({
  schema: path,
  question,
  maxNewTokens,
}: CalibrateFlags): Promise<CalibratedSchema | undefined> {
  if ((path ?? question ?? maxNewTokens) === undefined) return undefined;
  if (path === undefined || question === undefined) {
    throw new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', 'the flags are wrong', {
      details: [
        '--schema and --question belong together: give both, or neither; --max-new-tokens is of theirs',
      ],
    });
  }
  return { question, schema: await loadSchema(path), maxNewTokens };
}

/** Resolves to the exit code: 1 if questions could not be asked. */
export async function runCalibrate(flags: CalibrateFlags, streams: Console): Promise<number> {
  const choice = benchmarkChoice(flags);
  if (choice.benchmark !== 'attributes') throw new TypeError('the flag takes nothing else');
  const extract = await schemaOf(flags);
  const { data, model, adapter, output, limit, batchSize, seed, folds } = flags;
  {
    using fetching = interruptSignal();
    await fetchModels(model, adapter ?? [], flags, streams.stderr, fetching.signal);
  }
  const run = calibrate({
    ...choice,
    ...loadOptionsOf(flags),
    ...{ data, model, adapter, output, limit, batchSize, seed, folds, extract },
    onInvalid: flags.skipInvalid ? 'skip' : 'error',
    charts: flags.charts,
    prompt: pictureOptions(flags),
  });
  const { result, code } = await follow(run, streams);
  const { file } = result;
  if (flags.json) streams.stdout.write(`${JSON.stringify(result)}\n`);
  else streams.stdout.write(`${describe(result)}\n`);
  if (run.isStopping && file === undefined) throw new Interrupted('interrupted');
  return code;
}

function describe({ output, file, failures, summary, ...rest }: CalibrationResult): string {
  const failed = failures > 0 ? [`${failures} question(s) could not be asked: ${output}`] : [];
  if (summary === undefined) return [describeMissing({ output, ...rest }), ...failed].join('\n');
  return [
    table(summary.table),
    'after: on pictures that had no part in the temperature they were scaled by',
    ...failed,
    `report: ${output}/report`,
    `use it: facellm choose ... --calibration ${file ?? ''}`,
  ].join('\n');
}
