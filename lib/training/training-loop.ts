/**
 * The updates of a run in an order that the seed decides, with checkpoints from which it goes on exactly as if it
 * had not been interrupted.
 */
import { join } from 'node:path';

import { writeSkipped } from '../data/index.js';
import type { Job } from '../distributed/index.js';
import { writeFileAtomic } from '../files/index.js';
import { prefetch } from '../jobs/index.js';
import { looksAtStart, startLogProbs } from './answers/start-scores.js';
import { saveResult, type TrainerState } from './checkpoint-folder.js';
import type { TrainingEvent, TrainingResult } from './events.js';
import { planUpdates, type UpdatePlan } from './order.js';
import { agreeOnStart, planOfRank } from './rank.js';
import type { TrainingRecipe } from './recipe.js';
import { writeResultCard } from './result-card.js';
import { RunCheckpoints } from './run-checkpoints.js';
import { RunFiles } from './run-files.js';
import { BASE_WEIGHTS, fingerprintOf } from './run-inputs.js';
import { RunTotals } from './run-totals.js';
import { lastStepOf } from './schedule.js';
import type { TrainingSetup } from './setup.js';
import { type LoadedSample, SetAside } from './set-aside.js';
import type { TrainOptions } from './train-options.js';
import { beforeFirstUpdate, type TrainingRun } from './training-run.js';
import { runUpdate, type UpdateOutcome } from './updates.js';
import { NONE_YET } from './validation/best.js';
import { Validation } from './validation/validation.js';
import { writeWeights } from './write-weights.js';

/** One run in this process; in a job of several processes, one rank's. */
export class TrainingLoop {
  readonly #options: TrainOptions;
  readonly #recipe: TrainingRecipe;
  readonly #run: TrainingRun;
  readonly #setup: TrainingSetup;
  readonly #job: Job;
  readonly #aside: SetAside;
  readonly #validation: Validation;
  readonly #checkpoints: RunCheckpoints;
  /** Raised where the run ends early, with or without saving. */
  readonly #ending: AbortSignal;
  readonly #totals = new RunTotals();
  #state: TrainerState;

  constructor(
    options: TrainOptions,
    recipe: TrainingRecipe,
    run: TrainingRun,
    setup: TrainingSetup,
    job: Job,
  ) {
    this.#options = options;
    this.#recipe = recipe;
    this.#run = run;
    this.#setup = setup;
    this.#job = job;
    this.#aside = new SetAside(setup.samples, options.onInvalid === 'skip');
    const { signal } = options;
    this.#ending = AbortSignal.any([run.stopSignal, ...(signal === undefined ? [] : [signal])]);
    this.#validation = new Validation({
      ...{ recipe, job, set: setup.validation, own: options.validate, trainer: setup.trainer },
      ...{ signal, output: options.output },
      write: (directory) => this.#writeWeights(directory),
      onLost: ({ index, problems }) => this.#emit({ type: 'skip', record: index, problems }),
    });
    this.#checkpoints = new RunCheckpoints({
      ...{ output: options.output, keep: recipe.keepCheckpoints, trainer: setup.trainer },
      write: (directory) => this.#writeWeights(directory),
      onSaved: (step, directory) => this.#emit({ type: 'checkpoint', step, directory }),
    });
    this.#state = {
      step: 0,
      totalSteps: 0,
      totalTokens: 0,
      inputs: setup.inputs,
      lastLoss: 0,
      unloggedLoss: 0,
      unloggedSteps: 0,
      setAside: [],
      validation: NONE_YET,
    };
  }

  async run(): Promise<TrainingResult> {
    try {
      return await this.#runAll();
    } finally {
      // Nothing writes into the folder once the run has ended, however it did; a checkpoint that is not there is told before all else.
      await this.#checkpoints.settled();
    }
  }

  async #runAll(): Promise<TrainingResult> {
    const { samples, trainer, inputs } = this.#setup;
    const job = this.#job;
    const plans = planUpdates(samples, job.size, this.#recipe);
    await this.#lookAtStart();
    const resumed = job.isLeader ? await this.#checkpoints.resume(inputs) : undefined;
    this.#state = { ...this.#state, ...resumed, totalSteps: plans.length, inputs };
    const records = samples.samples.map(({ record }) => record.index);
    this.#state = await agreeOnStart(job, trainer, this.#state, records);
    this.#aside.restore(this.#state.setAside);
    await this.#writeSkipped();
    // Only the leader has files; every rank has the same numbers.
    await using files = job.isLeader ? await this.#openFiles() : undefined;
    const info = trainer.info();
    this.#emit({
      type: 'start',
      totalSteps: this.#lastStep,
      resumedStep: this.#state.step,
      samples: samples.samples.length,
      validationSamples: this.#setup.validation?.size ?? 0,
      droppedSamples: samples.dropped,
      skippedRecords: this.#setup.dataset.skipped.length + this.#state.setAside.length,
      trainableParameters: info.trainableParameters,
      device: info.model.device,
    });
    const left = this.#state.step >= this.#lastStep ? [] : plans.slice(this.#state.step);
    for await (const { plan, batches } of this.#loadAhead(left)) {
      this.#options.signal?.throwIfAborted();
      this.#checkpoints.check();
      if (await this.#agreeOnUpdate(plan, batches.flat())) break;
      const done = await this.#update(plan, batches);
      if (done === undefined) break;
      await this.#log(plan, done, files);
      const isBest = await this.#validate(plan, files);
      const { saveEvery } = this.#recipe;
      if (isBest || (saveEvery > 0 && this.#state.step % saveEvery === 0)) await this.#save(files);
      if (done.isStopping || this.#state.step >= this.#lastStep) break;
    }
    const isFresh = this.#state.step === 0;
    if (this.#checkpoints.savedStep !== this.#state.step && !isFresh) await this.#save(files);
    await this.#checkpoints.settled();
    await files?.plot();
    const isComplete = this.#state.step >= this.#lastStep;
    if (isComplete && job.isLeader) await this.#writeFinal();
    // No rank ends well before all is saved.
    await job.sum([0]);
    const result = this.#result(isComplete);
    this.#emit({ type: 'done', result });
    return result;
  }

  /** Before a checkpoint is restored: what the recipe holds the model against is the one that it started from. */
  async #lookAtStart(): Promise<void> {
    if (!looksAtStart(this.#recipe)) return;
    const { samples, trainer } = this.#setup;
    const mayLose = new SetAside(samples, this.#options.onInvalid === 'skip');
    const { size } = this.#job;
    const scores = await beforeFirstUpdate(this.#run, this.#options.signal, size, (signal) =>
      startLogProbs({
        ...{ samples, trainer, recipe: this.#recipe, aside: mayLose, job: this.#job, signal },
        onProgress: (recordsDone, recordsTotal) =>
          this.#emit({ type: 'score', recordsDone, recordsTotal }),
      }),
    );
    samples.startFrom(scores);
  }

  /** This rank's samples of each update, decoded while the engine is at work on those before. */
  #loadAhead(plans: readonly UpdatePlan[]): AsyncIterable<{
    readonly plan: UpdatePlan;
    readonly batches: readonly (readonly LoadedSample[])[];
  }> {
    return prefetch(plans, 2, async (plan) => ({
      plan,
      batches: await Promise.all(
        planOfRank(plan, this.#job).microBatches.map((batch) =>
          Promise.all(batch.map((i) => this.#aside.load(i, plan.pass))),
        ),
      ),
    }));
  }

  async #update(
    plan: UpdatePlan,
    batches: readonly (readonly LoadedSample[])[],
  ): Promise<UpdateOutcome | undefined> {
    const { samples, trainer } = this.#setup;
    const isUsed = (index: number): boolean => this.#aside.isUsed(index);
    const loaded = batches.map((batch) =>
      batch.flatMap(({ index, input }) => (input !== undefined && isUsed(index) ? [input] : [])),
    );
    const done = await runUpdate({
      ...{ trainer, plan, loaded, samples, isUsed, totalSteps: this.#state.totalSteps },
      endedAt: this.#state.validation.endedAt,
      ...{ recipe: this.#recipe, signal: this.#options.signal, job: this.#job },
      ...{ stopSignal: this.#run.stopSignal, ending: this.#ending },
    });
    if (done === undefined) return undefined;
    this.#totals.add(done);
    // An update whose samples were all set aside has no loss; the one before it is told again.
    const hasLoss = done.samples > 0;
    const lastLoss = hasLoss ? done.loss : this.#state.lastLoss;
    this.#state = {
      ...this.#state,
      step: plan.update + 1,
      totalTokens: this.#state.totalTokens + done.tokens,
      lastLoss,
      unloggedLoss: this.#state.unloggedLoss + (hasLoss ? lastLoss : 0),
      unloggedSteps: this.#state.unloggedSteps + (hasLoss ? 1 : 0),
    };
    return done;
  }

  /** Tells everyone of an update, and every few of them the log. */
  async #log(
    { epoch }: UpdatePlan,
    { learningRate, gradNorm }: UpdateOutcome,
    files: RunFiles | undefined,
  ): Promise<void> {
    const { step, totalTokens, lastLoss, unloggedLoss, unloggedSteps } = this.#state;
    const totalSteps = this.#lastStep;
    const { seconds, samplesPerSecond, tokensPerSecond, computedShare, peakBytes } = this.#totals;
    const record = {
      ...{ step, totalSteps, epoch, loss: lastLoss, learningRate, gradNorm },
      ...{ elapsedSeconds: seconds, samplesPerSecond, tokensPerSecond },
      ...{ totalTokens, computedShare, peakBytes },
    };
    this.#emit({ type: 'step', ...record });
    const isDue = step % this.#recipe.logEvery === 0 || step === totalSteps;
    if (unloggedSteps === 0 || !isDue) return;
    await files?.log({ ...record, loss: unloggedLoss / unloggedSteps });
    this.#state = { ...this.#state, unloggedLoss: 0, unloggedSteps: 0 };
  }

  /** @returns whether these weights are the best so far */
  async #validate({ epoch }: UpdatePlan, files: RunFiles | undefined): Promise<boolean> {
    const { step } = this.#state;
    const totalSteps = this.#lastStep;
    if (!this.#validation.isDue(step, totalSteps)) return false;
    const place = { step, totalSteps, epoch };
    const { record, state } = await this.#validation.run(place, this.#state.validation);
    this.#state = { ...this.#state, validation: state };
    await files?.logValidation(record);
    this.#emit({ type: 'validation', ...record });
    return record.isBest;
  }

  /**
   * Before an update: which of its samples are left out, on whichever rank they failed.
   *
   * @returns whether any rank was asked to end the run
   */
  async #agreeOnUpdate(plan: UpdatePlan, loaded: readonly LoadedSample[]): Promise<boolean> {
    const failed = new Set(
      loaded.filter(({ problem }) => problem !== '').map(({ index }) => index),
    );
    const own = plan.microBatches.flat().map((index) => (failed.has(index) ? 1 : 0));
    const [stopping = 0, ...all] = await this.#job.sum([this.#run.isStopping ? 1 : 0, ...own]);
    if (stopping > 0) return true;
    const added = this.#aside.add(plan, all, loaded);
    if (added.length === 0) return false;
    this.#state = { ...this.#state, setAside: this.#aside.records };
    await this.#writeSkipped();
    for (const { index, problems } of added) this.#emit({ type: 'skip', record: index, problems });
    return false;
  }

  /** skipped_records.jsonl: records that were bad from the start, and those set aside since. */
  async #writeSkipped(): Promise<void> {
    const skipped = [...this.#setup.dataset.skipped, ...this.#state.setAside];
    if (skipped.length === 0 || !this.#job.isLeader) return;
    await writeSkipped(join(this.#options.output, 'skipped_records.jsonl'), skipped);
  }

  async #openFiles(): Promise<RunFiles> {
    const { output } = this.#options;
    await writeFileAtomic(join(output, 'run.json'), this.#describe());
    return RunFiles.open(output, this.#recipe.name, this.#state.step);
  }

  /** Every rank has done this update when the leader saves it. */
  async #save(files: RunFiles | undefined): Promise<void> {
    if (files === undefined) {
      this.#checkpoints.skip(this.#state.step);
      return;
    }
    await files.flush();
    await this.#checkpoints.save(this.#state);
  }

  /** The trained adapter or model at the top of the run folder, as LLaMA-Factory leaves it: the best, where one is known. */
  async #writeFinal(): Promise<void> {
    await this.#checkpoints.restoreBest(this.#state);
    await saveResult(this.#options.output, (partial) => this.#writeWeights(partial));
    const card = await writeResultCard(this.#options, this.#recipe, this.#setup, this.#state);
    this.#emit({ type: 'card', ...card });
  }

  #writeWeights(directory: string): Promise<void> {
    const { trainer, modules, directory: base, config, inputs } = this.#setup;
    const { model } = this.#options;
    const weightsHash = inputs[BASE_WEIGHTS] ?? '';
    return writeWeights(
      { trainer, recipe: this.#recipe, modules, model, directory: base, config, weightsHash },
      directory,
    );
  }

  /** The resolved configuration beside the run. */
  #describe(): string {
    const { model, data, dataset, imageRoot, adapter } = this.#options;
    const inputs = { model, data, dataset, imageRoot, adapter };
    const { sha256, file } = this.#setup.dataset;
    return `${JSON.stringify(
      {
        recipe: this.#recipe,
        ...inputs,
        dataFile: file,
        dataSha256: sha256,
        fingerprint: fingerprintOf(this.#setup.inputs),
        totalSteps: this.#state.totalSteps,
        modules: this.#setup.modules,
      },
      null,
      2,
    )}\n`;
  }

  /** How many updates the run makes, as far as its validations tell by now. */
  get #lastStep(): number {
    const { totalSteps, validation } = this.#state;
    return lastStepOf(this.#recipe, totalSteps, validation.endedAt);
  }

  #result(isComplete: boolean): TrainingResult {
    const { step, totalSteps, lastLoss, validation } = this.#state;
    const { output } = this.#options;
    const { best } = validation;
    const { seconds, samplesPerSecond, computedShare, peakBytes } = this.#totals;
    return {
      steps: step,
      totalSteps,
      loss: lastLoss,
      isComplete,
      stoppedEarly: isComplete && step < totalSteps,
      best: best === null ? undefined : { ...best, metric: this.#recipe.bestMetric },
      output,
      checkpoint: this.#checkpoints.last,
      ...{ seconds, samplesPerSecond, computedShare, peakBytes },
    };
  }

  #emit(event: TrainingEvent): void {
    this.#run.emit(event);
  }
}
