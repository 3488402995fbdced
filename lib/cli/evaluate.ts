/** `facellm evaluate`: a benchmark with its progress on stderr; the same command goes on where it ended. */
import {
  type BenchmarkName,
  type BenchmarkSummary,
  evaluate,
  type EvaluationEvent,
  EvaluationProgress,
  type EvaluationResult,
  type FaceXSetting,
  type ReadingChoice,
} from '../evaluation/index.js';
import type { ModelFlags, OutputFlags, PromptFlags } from './options.js';
import { promptOptions } from './options.js';
import { type Console, LoadReporter, table } from './output.js';
import { Interrupted } from './session.js';

export interface EvaluateFlags extends ModelFlags, PromptFlags, OutputFlags {
  readonly benchmark: BenchmarkName;
  readonly data: string;
  readonly adapter?: readonly string[];
  readonly tuned?: string;
  readonly output: string;
  readonly setting?: FaceXSetting;
  readonly reading?: ReadingChoice;
  readonly limit?: number;
  readonly skipInvalid?: boolean;
  readonly onFailure?: 'record' | 'stop';
  readonly maxNewTokens?: number;
  readonly batchSize?: number;
  readonly seed?: number;
}

/** Resolves to the exit code: 1 if questions could not be asked. */
export async function runEvaluate(flags: EvaluateFlags, streams: Console): Promise<number> {
  const { benchmark, data, model, adapter, tuned, output, setting, reading, limit } = flags;
  const { onFailure, maxNewTokens, batchSize, seed, device, dtype, threads, subfolder } = flags;
  const abort = new AbortController();
  const interrupt = (): void => {
    if (abort.signal.aborted) process.exit(130);
    streams.stderr.write('\nending; what is answered is saved, the same command goes on\n');
    abort.abort(new Interrupted('interrupted'));
  };
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  try {
    const result = await evaluate({
      ...{ benchmark, data, model, adapter, tuned, output, setting, reading, limit },
      ...{ onFailure, maxNewTokens, batchSize, seed, device, dtype, threads, subfolder },
      onInvalid: flags.skipInvalid ? 'skip' : 'error',
      prompt: promptOptions(flags),
      signal: abort.signal,
      onEvent: reporter(streams),
    });
    if (flags.json) streams.stdout.write(`${JSON.stringify(result)}\n`);
    else streams.stdout.write(`${describe(result)}\n`);
    return result.failures > 0 ? 1 : 0;
  } finally {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  }
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

function describe({ output, questions, missing, failures, summary }: EvaluationResult): string {
  const failed = failures > 0 ? [`${failures} question(s) could not be asked: ${output}`] : [];
  if (summary === undefined) {
    const waits = `this share is done; ${missing} answers of other processes are missing in ${output}`;
    return [waits, ...failed].join('\n');
  }
  const partial = summary.isPartial ? ' (partial set, not a score of the benchmark)' : '';
  return [
    `${summary.benchmark}${partial}: ${questions} questions`,
    figures(summary),
    ...failed,
    `report: ${output}/report`,
  ].join('\n');
}

/** Headline figures, a column a model; those of single groups are in the report. */
function figures({ models }: BenchmarkSummary): string {
  const names = [...new Set(models.flatMap(({ figures: own }) => Object.keys(own)))];
  const rows = names
    .filter((name) => name.split('.').length <= 2)
    .map((name) => [
      name,
      ...models.map(({ figures: own }) => {
        const value = own[name];
        return value === undefined ? '' : Number.isInteger(value) ? `${value}` : value.toFixed(4);
      }),
    ]);
  return table([['', ...models.map(({ name }) => name)], ...rows]);
}
