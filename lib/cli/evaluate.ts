/** `facellm evaluate`: a benchmark with its progress on stderr; the same command goes on where it ended. */
import { loadCalibration } from '../calibration/index.js';
import { InvalidArgumentError } from '../errors.js';
import {
  type BenchmarkChoice,
  type BenchmarkName,
  type BuiltInAttribute,
  evaluate,
  type EvaluationEvent,
  EvaluationProgress,
  type EvaluationResult,
  type FaceXSetting,
  type ReadingChoice,
} from '../evaluation/index.js';
import { type AskedFaceFlags, pictureOptions } from './face-options.js';
import type { JobRun } from '../jobs/index.js';
import { fetchModels } from './download-reporter.js';
import { Interrupted, interruptSignal, onInterrupt } from './interrupt.js';
import type { ModelFlags, OutputFlags, PromptFlags } from './options.js';
import { loadOptionsOf } from './options.js';
import { type Console, LoadReporter, table } from './output.js';

export interface EvaluateFlags extends ModelFlags, PromptFlags, AskedFaceFlags, OutputFlags {
  readonly benchmark: BenchmarkName;
  readonly data: string;
  readonly adapter?: readonly string[];
  readonly tuned?: string;
  readonly output: string;
  readonly setting?: FaceXSetting;
  readonly labels?: string;
  readonly columns?: readonly string[];
  readonly split?: string;
  readonly where?: readonly string[];
  readonly attributes?: readonly string[];
  readonly groups?: readonly string[];
  readonly pairs?: string;
  readonly reading?: ReadingChoice;
  readonly limit?: number;
  readonly skipInvalid?: boolean;
  readonly onFailure?: 'record' | 'stop';
  /** False with `--no-charts`. */
  readonly charts: boolean;
  readonly gallery?: number;
  readonly galleryPictures?: boolean;
  readonly calibration?: readonly string[];
  readonly maxNewTokens?: number;
  readonly batchSize?: number;
  readonly seed?: number;
}

/** Resolves to the exit code: 1 if questions could not be asked. */
export async function runEvaluate(flags: EvaluateFlags, streams: Console): Promise<number> {
  const choice = benchmarkChoice(flags);
  const { data, model, adapter, tuned, output, reading, limit } = flags;
  const { onFailure, maxNewTokens, batchSize, seed, gallery, galleryPictures } = flags;
  const calibration =
    flags.calibration && (await Promise.all(flags.calibration.map(loadCalibration)));
  {
    using fetching = interruptSignal();
    await fetchModels(model, [...(adapter ?? []), tuned], flags, streams.stderr, fetching.signal);
  }
  const run = evaluate({
    ...choice,
    ...loadOptionsOf(flags),
    ...{ data, model, adapter, tuned, output, reading, limit },
    ...{ onFailure, maxNewTokens, batchSize, seed, calibration },
    onInvalid: flags.skipInvalid ? 'skip' : 'error',
    ...{ charts: flags.charts, gallery, galleryPictures },
    prompt: pictureOptions(flags),
  });
  const { result, code } = await follow(run, streams);
  if (flags.json) streams.stdout.write(`${JSON.stringify(result)}\n`);
  else streams.stdout.write(`${describe(result)}\n`);
  if (run.isStopping && result.summary === undefined) throw new Interrupted('interrupted');
  return code;
}

/** Shows a run's progress; Ctrl-C ends it with what is answered saved. */
export async function follow<R extends EvaluationResult>(
  run: JobRun<EvaluationEvent, R>,
  streams: Console,
): Promise<{ readonly result: R; readonly code: number }> {
  using interrupt = onInterrupt(() => {
    run.stop();
    streams.stderr.write('\nending; what is answered is saved, the same command goes on\n');
  });
  try {
    const show = reporter(streams);
    for await (const event of run) show(event);
    const result = await run;
    return { result, code: result.failures > 0 ? 1 : 0 };
  } catch (error) {
    // Before the first question there is no result to tell of.
    throw run.isStopping && error === run.stopSignal.reason
      ? new Interrupted('interrupted')
      : error;
  }
}

/** Flags that belong to some of the benchmarks only. */
const OWN_FLAGS: Readonly<Record<BenchmarkName, readonly (keyof EvaluateFlags)[]>> = {
  facexbench: ['setting'],
  attributes: ['labels', 'columns', 'split', 'where', 'attributes', 'groups', 'calibration'],
  pairs: ['labels', 'columns', 'split', 'where', 'pairs'],
};

/** @throws InvalidArgumentError listing flags of other benchmarks and pairs without an equals sign */
export function benchmarkChoice(flags: EvaluateFlags): BenchmarkChoice {
  const { benchmark, setting, labels, split, pairs } = flags;
  const foreign = Object.values(OWN_FLAGS)
    .flat()
    .filter((name) => flags[name] !== undefined && !OWN_FLAGS[benchmark].includes(name));
  const problems = [...new Set(foreign)].map(
    (name) => `--${name}: not of --benchmark ${benchmark}`,
  );
  const columns = assignments('columns', flags.columns ?? [], problems);
  const where = assignments('where', flags.where ?? [], problems);
  if (problems.length > 0) {
    throw new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', 'the flags are wrong', {
      details: problems,
    });
  }
  if (benchmark === 'facexbench') return { benchmark, setting };
  const rows = {
    labels,
    split,
    where,
    columns: Object.fromEntries(Object.entries(columns).map(([what, [name = '']]) => [what, name])),
  };
  if (benchmark === 'pairs') return { benchmark, ...rows, pairs };
  // Names are checked where they are used, with what is nearest to an unknown one.
  const attributes = flags.attributes as readonly BuiltInAttribute[] | undefined;
  return { benchmark, ...rows, attributes, groups: flags.groups };
}

/** `name=value`, several times: all values of each name. */
function assignments(
  flag: string,
  texts: readonly string[],
  problems: string[],
): Record<string, string[]> {
  const values: Record<string, string[]> = {};
  for (const text of texts) {
    const at = text.indexOf('=');
    if (at < 1) problems.push(`--${flag} ${text}: expected NAME=VALUE`);
    else (values[text.slice(0, at)] ??= []).push(text.slice(at + 1));
  }
  return values;
}

function reporter({ stderr }: Console): (event: EvaluationEvent) => void {
  const progress = new EvaluationProgress({ stream: stderr });
  let loading: LoadReporter | undefined;
  return (event) => {
    if (event.type === 'load') {
      loading ??= new LoadReporter(stderr);
      loading.update(event.bytesDone, event.bytesTotal);
      return;
    }
    loading?.finish();
    loading = undefined;
    progress.update(event);
  };
}

/** Of a run that has no report yet. */
export function describeMissing({
  output,
  missing,
}: Pick<EvaluationResult, 'output' | 'missing'>): string {
  return `${missing} answers are still missing in ${output}: of other processes, or of this one if it was ended`;
}

function describe({ output, questions, missing, failures, summary }: EvaluationResult): string {
  const failed = failures > 0 ? [`${failures} question(s) could not be asked: ${output}`] : [];
  if (summary === undefined) {
    return [describeMissing({ output, missing }), ...failed].join('\n');
  }
  const partial = summary.isPartial ? ', not all of the set: no score of the benchmark' : '';
  return [
    `${summary.benchmark}: ${questions} questions${partial}`,
    table(summary.table),
    '95 % intervals in brackets',
    ...failed,
    `report: ${output}/report`,
  ].join('\n');
}
