/**
 * `facellm train`: a run with its progress on stderr; the first Ctrl-C saves and ends, the second kills. With
 * `--processes` this process only starts the ranks; of a job's ranks only the first reports.
 */
import { endWithLauncher, type JobEnvironment, readJobEnvironment } from '../distributed/index.js';
import { FaceLlmError, InvalidArgumentError } from '../errors.js';
import { hasVega } from '../packages/vega.js';
import {
  overrideRecipe,
  recipeNamed,
  train,
  TrainingProgress,
  type TrainingEvent,
  type TrainingRecipe,
  type TrainingResult,
  type TrainOptions,
} from '../training/index.js';
import { fetchModels } from './download-reporter.js';
import { Interrupted, interruptSignal, onInterrupt } from './interrupt.js';
import { type Console, formatBytes, LoadReporter, warningText } from './output.js';
import { launchRanks } from './processes.js';

export interface TrainFlags extends Omit<TrainOptions, 'recipe' | 'onInvalid' | 'job' | 'signal'> {
  readonly recipe: string;
  readonly set?: readonly string[];
  readonly skipInvalid?: boolean;
  readonly processes?: number;
  readonly download?: boolean;
  readonly json?: boolean;
}

const NO_PLOT =
  'training_loss.svg is not drawn without the packages vega and vega-lite: npm install vega vega-lite\n';

/** Resolves to the exit code. */
export async function runTrain(flags: TrainFlags, streams: Console): Promise<number> {
  const job = readJobEnvironment(process.env);
  // Before gigabytes are fetched, and before ranks are started.
  const recipe = overrideRecipe(recipeNamed(flags.recipe), flags.set ?? []);
  // Ranks of one job wait for each other at the cache's lock; those that --processes starts find all of it there.
  {
    using fetching = interruptSignal();
    await fetchModels(flags.model, [flags.adapter], flags, streams.stderr, fetching.signal);
  }
  if (flags.processes === undefined || flags.processes === 1)
    return trainHere(flags, recipe, streams, job);
  if (job !== undefined) {
    throw new InvalidArgumentError(
      'FACELLM_INVALID_ARGUMENT',
      '--processes starts a job of its own; leave it out under torchrun or srun',
    );
  }
  return launchRanks(flags.processes, streams);
}

async function trainHere(
  flags: TrainFlags,
  recipe: TrainingRecipe,
  streams: Console,
  job: JobEnvironment | undefined,
): Promise<number> {
  endWithLauncher(process.env);
  const isLeader = job === undefined || job.rank === 0;
  const { model, data, output, dataset, imageRoot, adapter, device, threads } = flags;
  const run = train({
    ...{ recipe, model, data, output, dataset, imageRoot, adapter, device, threads, job },
    onInvalid: flags.skipInvalid ? 'skip' : 'error',
  });
  using interrupt = onInterrupt(() => {
    run.stop();
    if (isLeader)
      streams.stderr.write(
        '\nsaving what is done and ending; Ctrl-C again to end without saving\n',
      );
  });
  try {
    const result = await (isLeader ? report(run, streams) : run);
    if (!isLeader) return result.isComplete ? 0 : 130;
    if (flags.json) streams.stdout.write(`${JSON.stringify(result)}\n`);
    else streams.stdout.write(`${describe(result)}\n`);
    if (!(await hasVega())) streams.stderr.write(NO_PLOT);
    if (!result.isComplete) throw new Interrupted('interrupted');
    return 0;
  } catch (error) {
    const isStopped = error instanceof FaceLlmError && error.code === 'FACELLM_CANCELLED';
    throw run.isStopping && isStopped ? new Interrupted(error.message) : error;
  }
}

async function report(run: ReturnType<typeof train>, streams: Console): Promise<TrainingResult> {
  const progress = new TrainingProgress({ stream: streams.stderr });
  const loading = new LoadReporter(streams.stderr);
  const say = (text: string): void => void streams.stderr.write(`${text}\n`);
  for await (const event of run) {
    if (event.type === 'load') loading.update(event.bytesDone, event.bytesTotal);
    if (event.type === 'prepare' && event.recordsDone === event.recordsTotal) {
      say(`${event.recordsTotal} records read and encoded`);
    }
    if (event.type === 'warning') streams.stderr.write(warningText(event.warning));
    if (event.type === 'score') {
      loading.finish();
      progress.scored(event.recordsDone, event.recordsTotal);
    }
    if (event.type === 'start') {
      loading.finish();
      const from = event.resumedStep > 0 ? `, resumed after update ${event.resumedStep}` : '';
      say(
        `${event.samples} samples, ` +
          (event.validationSamples > 0 ? `${event.validationSamples} to validate with, ` : '') +
          `${event.totalSteps} updates, ` +
          `${event.trainableParameters.toLocaleString('en-US')} trainable parameters on ${event.device}${from}`,
      );
    }
    if (event.type === 'start' && event.skippedRecords > 0) {
      say(`${event.skippedRecords} bad record(s) set aside, listed in skipped_records.jsonl`);
    }
    if (event.type === 'start' && event.droppedSamples > 0) {
      say(`${event.droppedSamples} sample(s) left out: over the length limit`);
    }
    if (event.type === 'step') progress.update(event);
    if (event.type === 'skip') {
      progress.note(`record ${event.record} set aside: ${event.problems.join('; ')}`);
    }
    if (event.type === 'validation') progress.note(describeValidation(event));
    if (event.type === 'checkpoint') progress.note(`saved ${event.directory}`);
    if (event.type === 'card' && event.keptReadme) {
      progress.note(`README.md is your own and stays; the card is in ${event.path}`);
    }
    if (event.type === 'card') {
      for (const reason of event.unread) progress.note(`not on the card: ${reason}`);
    }
  }
  progress.finish();
  return run;
}

/** `validation after update 40: loss 0.4121, accuracy 0.913, worst race Indian 0.801, the best so far (1.2 s)`. */
function describeValidation(event: Extract<TrainingEvent, { type: 'validation' }>): string {
  const { step, loss, accuracy, worstGroup, own, isBest, seconds } = event;
  const { fact = '', value = '' } = worstGroup ?? {};
  const worst = (worstGroup?.accuracy ?? worstGroup?.loss)?.toFixed(3) ?? '';
  return [
    `validation after update ${step}: loss ${loss.toFixed(4)}`,
    ...(accuracy === undefined ? [] : [`accuracy ${accuracy.toFixed(3)}`]),
    ...(worstGroup === undefined ? [] : [`worst ${fact} ${value} ${worst}`]),
    ...Object.entries(own).map(([name, figure]) => `${name} ${figure}`),
    isBest ? `the best so far (${seconds.toFixed(1)} s)` : `(${seconds.toFixed(1)} s)`,
  ].join(', ');
}

function describe(result: TrainingResult): string {
  const { steps, totalSteps, loss, output, seconds, samplesPerSecond, peakBytes, best } = result;
  const { computedShare } = result;
  const shared =
    computedShare < 1 ? `${(100 * computedShare).toFixed(0)} % of all tokens computed, ` : '';
  const early = result.stoppedEarly
    ? ` of ${totalSteps}, waiting for a better validation was over`
    : '';
  const chosen =
    best === undefined
      ? ''
      : `, the best at update ${best.step} (${best.metric} ${best.value.toFixed(4)})`;
  const state = result.isComplete
    ? `trained ${steps} updates${early}${chosen}`
    : `stopped after ${steps} of ${totalSteps} updates; the same command resumes`;
  return (
    `${state}, loss ${loss.toFixed(4)}, ${seconds.toFixed(1)} s, ` +
    `${samplesPerSecond.toFixed(2)} samples/s, ${shared}peak ${formatBytes(peakBytes)}: ${output}`
  );
}
