/** `facellm compare`: what a form of weights, or any other checkpoint, loses beside a reference; a gate for scripts. */
import { InvalidArgumentError } from '../errors.js';
import { compare, type ComparisonResult } from '../evaluation/index.js';
import { fetchModels } from './download-reporter.js';
import { benchmarkChoice, describeMissing, type EvaluateFlags, follow } from './evaluate.js';
import { pictureOptions } from './face-options.js';
import { Interrupted, interruptSignal } from './interrupt.js';
import { loadOptionsOf } from './options.js';
import { type Console, table } from './output.js';

export interface CompareFlags extends Omit<
  EvaluateFlags,
  'tuned' | 'reading' | 'gallery' | 'galleryPictures'
> {
  readonly against?: string;
  readonly againstAdapter?: readonly string[];
  /** False with `--no-yardstick`. */
  readonly yardstick: boolean;
  readonly maxKl?: number;
}

/** Resolves to the exit code: 1 if questions could not be asked, or the mean KL is above `--max-kl`. */
export async function runCompare(flags: CompareFlags, streams: Console): Promise<number> {
  const { data, model, adapter, against, againstAdapter, output, limit, maxKl } = flags;
  if (maxKl !== undefined && !(maxKl >= 0)) {
    throw new InvalidArgumentError(
      'FACELLM_INVALID_ARGUMENT',
      `--max-kl: expected a number of nats from 0, got ${maxKl}`,
    );
  }
  const choice = benchmarkChoice(flags);
  {
    using fetching = interruptSignal();
    const others = [...(adapter ?? []), against, ...(againstAdapter ?? [])];
    await fetchModels(model, others, flags, streams.stderr, fetching.signal);
  }
  const { onFailure, maxNewTokens, batchSize, seed, yardstick } = flags;
  const run = compare({
    ...choice,
    ...loadOptionsOf(flags),
    ...{ data, model, adapter, against, againstAdapter, output, limit, yardstick },
    ...{ onFailure, maxNewTokens, batchSize, seed },
    onInvalid: flags.skipInvalid ? 'skip' : 'error',
    charts: flags.charts,
    prompt: pictureOptions(flags),
  });
  const { result, code } = await follow(run, streams);
  const gate = gateOf(result, maxKl);
  if (flags.json) streams.stdout.write(`${JSON.stringify({ ...result, gate })}\n`);
  else streams.stdout.write(`${describe(result, gate)}\n`);
  if (run.isStopping && result.summary === undefined) throw new Interrupted('interrupted');
  return gate?.isMet === false ? 1 : code;
}

interface Gate {
  readonly maxKl: number;
  readonly meanKl: number;
  readonly isMet: boolean;
}

function gateOf({ figures }: ComparisonResult, maxKl: number | undefined): Gate | undefined {
  if (maxKl === undefined || figures === undefined) return undefined;
  const meanKl = figures.kl.mean;
  return { maxKl, meanKl, isMet: meanKl <= maxKl };
}

function describe(result: ComparisonResult, gate: Gate | undefined): string {
  const { output, missing, failures, summary } = result;
  const failed = failures > 0 ? [`${failures} question(s) could not be asked: ${output}`] : [];
  if (summary === undefined) return [describeMissing({ output, missing }), ...failed].join('\n');
  const judged =
    gate === undefined
      ? []
      : [
          `mean KL ${gate.meanKl.toPrecision(3)} is ${gate.isMet ? 'within' : 'ABOVE'} --max-kl ${gate.maxKl}`,
        ];
  return [
    table(summary.table),
    '95 % intervals in brackets',
    ...failed,
    ...judged,
    `report: ${output}/report`,
  ].join('\n');
}
