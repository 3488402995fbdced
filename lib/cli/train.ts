/** `facellm train`: a run with its progress on stderr; the first Ctrl-C saves and ends, the second kills. */
import {
  overrideRecipe,
  recipeNamed,
  train,
  TrainingProgress,
  type TrainingResult,
} from '../training/index.js';
import { type Console, formatBytes, LoadReporter } from './output.js';
import { Interrupted } from './session.js';

export interface TrainFlags {
  readonly recipe: string;
  readonly model: string;
  readonly data: string;
  readonly output: string;
  readonly dataset?: string;
  readonly imageRoot?: string;
  readonly adapter?: string;
  readonly set?: readonly string[];
  readonly skipInvalid?: boolean;
  readonly device?: string;
  readonly threads?: number;
  readonly json?: boolean;
}

export async function runTrain(flags: TrainFlags, streams: Console): Promise<void> {
  const recipe = overrideRecipe(recipeNamed(flags.recipe), flags.set ?? []);
  const run = train({
    recipe,
    model: flags.model,
    data: flags.data,
    output: flags.output,
    dataset: flags.dataset,
    imageRoot: flags.imageRoot,
    adapter: flags.adapter,
    device: flags.device,
    threads: flags.threads,
    onInvalid: flags.skipInvalid ? 'skip' : 'error',
  });
  const interrupt = (): void => {
    if (run.isStopping) process.exit(130);
    run.stop();
    streams.stderr.write('\nending after this update and saving; Ctrl-C again to stop at once\n');
  };
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  try {
    const result = await report(run, streams);
    if (flags.json) streams.stdout.write(`${JSON.stringify(result)}\n`);
    else streams.stdout.write(`${describe(result)}\n`);
    if (!result.isComplete) throw new Interrupted('interrupted');
  } finally {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
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
    if (event.type === 'start') {
      loading.finish();
      const from = event.resumedStep > 0 ? `, resumed after update ${event.resumedStep}` : '';
      say(
        `${event.samples} samples, ${event.totalSteps} updates, ` +
          `${event.trainableParameters.toLocaleString('en-US')} trainable parameters on ${event.device}${from}`,
      );
    }
    if (event.type === 'step') progress.update(event);
    if (event.type === 'checkpoint') progress.note(`saved ${event.directory}`);
  }
  progress.finish();
  return run;
}

function describe(result: TrainingResult): string {
  const { steps, totalSteps, loss, output, seconds, samplesPerSecond, peakBytes } = result;
  const state = result.isComplete
    ? `trained ${steps} updates`
    : `stopped after ${steps} of ${totalSteps} updates; the same command resumes`;
  return (
    `${state}, loss ${loss.toFixed(4)}, ${seconds.toFixed(1)} s, ` +
    `${samplesPerSecond.toFixed(2)} samples/s, peak ${formatBytes(peakBytes)}: ${output}`
  );
}
