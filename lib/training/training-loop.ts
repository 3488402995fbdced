/**
 * The updates of a run in an order that the seed decides, with checkpoints from which it goes on exactly as if it
 * had not been interrupted.
 */
import { join } from 'node:path';

import { writeSkipped } from '../data/index.js';
import type { Job } from '../distributed/index.js';
import { prefetch } from '../jobs/index.js';
import { looksAtStart, startLogProbs } from './answers/start-scores.js';
import { saveResult } from './checkpoint-folder.js';
import type { TrainingEvent, TrainingResult } from './events.js';
import { planUpdates, type UpdatePlan } from './order.js';
import { agreeOnStart, planOfRank } from './rank.js';
import type { TrainingRecipe } from './recipe.js';
import { writeResultCard } from './result-card.js';
import { RunCheckpoints } from './run-checkpoints.js';
import { writeRunDescription } from './run-description.js';
import { RunFiles } from './run-files.js';
import { BASE_WEIGHTS } from './run-inputs.js';
import { RunState } from './run-state.js';
import type { TrainingSetup } from './setup.js';
import { type LoadedSample, SetAside } from './set-aside.js';
import type { TrainOptions } from './train-options.js';
import { beforeFirstUpdate, type TrainingRun } from './training-run.js';
import { runUpdate, type UpdateOutcome } from './updates.js';
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
  readonly #state: RunState;

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
    this.#state = new RunState(recipe, setup.inputs);
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
    const state = this.#state;
    const plans = planUpdates(samples, job.size, this.#recipe);
    await this.#lookAtStart();
    const resumed = job.isLeader ? await this.#checkpoints.resume(inputs) : undefined;
    state.set({ ...resumed, totalSteps: plans.length, inputs });
    const records = samples.samples.map(({ record }) => record.index);
    state.set(await agreeOnStart(job, trainer, state.kept, records));
    this.#aside.restore(state.kept.setAside);
    await this.#writeSkipped();
    // Only the leader has files; every rank has the same numbers.
    await using files = job.isLeader ? await this.#openFiles() : undefined;
    const info = trainer.info();
    this.#emit({
      type: 'start',
      totalSteps: state.lastStep,
      resumedStep: state.kept.step,
      samples: samples.samples.length,
      validationSamples: this.#setup.validation?.size ?? 0,
      droppedSamples: samples.dropped,
      skippedRecords: this.#setup.dataset.skipped.length + state.kept.setAside.length,
      trainableParameters: info.trainableParameters,
      device: info.model.device,
    });
    const left = state.isAtEnd ? [] : plans.slice(state.kept.step);
    for await (const { plan, batches } of this.#loadAhead(left)) {
      this.#options.signal?.throwIfAborted();
      this.#checkpoints.check();
      if (await this.#agreeOnUpdate(plan, batches.flat())) break;
      const done = await this.#update(plan, batches);
      if (done === undefined) break;
      await this.#log(plan, done, files);
      const isBest = await this.#validate(plan, files);
      const { saveEvery } = this.#recipe;
      if (isBest || (saveEvery > 0 && state.kept.step % saveEvery === 0)) await this.#save(files);
      if (done.isStopping || state.isAtEnd) break;
    }
    const { step } = state.kept;
    if (this.#checkpoints.savedStep !== step && step !== 0) await this.#save(files);
    await this.#checkpoints.settled();
    await files?.plot();
    if (state.isAtEnd && job.isLeader) await this.#writeFinal();
    // No rank ends well before all is saved.
    await job.sum([0]);
    const result = state.result(this.#options.output, this.#checkpoints.last);
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
      ...{ trainer, plan, loaded, samples, isUsed, totalSteps: this.#state.kept.totalSteps },
      endedAt: this.#state.kept.validation.endedAt,
      ...{ recipe: this.#recipe, signal: this.#options.signal, job: this.#job },
      ...{ stopSignal: this.#run.stopSignal, ending: this.#ending },
    });
    if (done !== undefined) this.#state.addUpdate(plan, done);
    return done;
  }

  /** Tells everyone of an update, and every few of them the log. */
  async #log(plan: UpdatePlan, done: UpdateOutcome, files: RunFiles | undefined): Promise<void> {
    const record = this.#state.record(plan, done);
    this.#emit({ type: 'step', ...record });
    const { unloggedLoss, unloggedSteps } = this.#state.kept;
    const isDue = record.step % this.#recipe.logEvery === 0 || record.step === record.totalSteps;
    if (unloggedSteps === 0 || !isDue) return;
    await files?.log({ ...record, loss: unloggedLoss / unloggedSteps });
    this.#state.set({ unloggedLoss: 0, unloggedSteps: 0 });
  }

  /** @returns whether these weights are the best so far */
  async #validate({ epoch }: UpdatePlan, files: RunFiles | undefined): Promise<boolean> {
    const { step, validation } = this.#state.kept;
    const totalSteps = this.#state.lastStep;
    if (!this.#validation.isDue(step, totalSteps)) return false;
    const place = { step, totalSteps, epoch };
    const { record, state } = await this.#validation.run(place, validation);
    this.#state.set({ validation: state });
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
    this.#state.set({ setAside: this.#aside.records });
    await this.#writeSkipped();
    for (const { index, problems } of added) this.#emit({ type: 'skip', record: index, problems });
    return false;
  }

  /** skipped_records.jsonl: records that were bad from the start, and those set aside since. */
  async #writeSkipped(): Promise<void> {
    const skipped = [...this.#setup.dataset.skipped, ...this.#state.kept.setAside];
    if (skipped.length === 0 || !this.#job.isLeader) return;
    await writeSkipped(join(this.#options.output, 'skipped_records.jsonl'), skipped);
  }

  async #openFiles(): Promise<RunFiles> {
    const { step, totalSteps } = this.#state.kept;
    await writeRunDescription(this.#options, this.#recipe, this.#setup, totalSteps);
    return RunFiles.open(this.#options.output, this.#recipe.name, step);
  }

  /** Every rank has done this update when the leader saves it. */
  async #save(files: RunFiles | undefined): Promise<void> {
    if (files === undefined) {
      this.#checkpoints.skip(this.#state.kept.step);
      return;
    }
    await files.flush();
    await this.#checkpoints.save(this.#state.kept);
  }

  /** The trained adapter or model at the top of the run folder, as LLaMA-Factory leaves it: the best, where one is known. */
  async #writeFinal(): Promise<void> {
    await this.#checkpoints.restoreBest(this.#state.kept);
    await saveResult(this.#options.output, (partial) => this.#writeWeights(partial));
    const { kept } = this.#state;
    const card = await writeResultCard(this.#options, this.#recipe, this.#setup, kept);
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

  #emit(event: TrainingEvent): void {
    this.#run.emit(event);
  }
}
