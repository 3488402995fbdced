/**
 * The updates of a run in an order that the seed decides, with checkpoints from which it goes on exactly as if it
 * had not been interrupted.
 */
import { join } from 'node:path';

import type { Job } from '../distributed/index.js';
import { createError, fromNative } from '../errors.js';
import { prefetch } from './bounded.js';
import {
  checkpointPath,
  listCheckpoints,
  OPTIMIZER,
  readState,
  saveCheckpoint,
  tidyCheckpoints,
  type TrainerState,
} from './checkpoint-folder.js';
import type { TrainingEvent, TrainingResult } from './events.js';
import { planUpdates } from './order.js';
import { agreeOnStart, planOfRank } from './rank.js';
import type { TrainingRecipe } from './recipe.js';
import { RunFiles } from './run-files.js';
import { writeFileAtomic } from './run/index.js';
import type { TrainingSession } from './session.js';
import type { TrainOptions } from './train-options.js';
import type { TrainingRun } from './training-run.js';
import { runUpdate } from './updates.js';
import { writeWeights } from './write-weights.js';

/** One run in this process; in a job of several processes, one rank's. */
export class TrainingLoop {
  readonly #options: TrainOptions;
  readonly #recipe: TrainingRecipe;
  readonly #run: TrainingRun;
  readonly #session: TrainingSession;
  readonly #job: Job;
  readonly #startedAt = performance.now();
  #state: TrainerState;
  #samplesDone = 0;
  #tokensDone = 0;
  #peakBytes = 0;
  #savedStep = -1;

  constructor(
    options: TrainOptions,
    recipe: TrainingRecipe,
    run: TrainingRun,
    session: TrainingSession,
    job: Job,
  ) {
    this.#options = options;
    this.#recipe = recipe;
    this.#run = run;
    this.#session = session;
    this.#job = job;
    this.#state = {
      step: 0,
      totalSteps: 0,
      totalTokens: 0,
      fingerprint: session.fingerprint,
      lastLoss: 0,
      unloggedLoss: 0,
      unloggedSteps: 0,
    };
  }

  async run(): Promise<TrainingResult> {
    const { samples, trainer, fingerprint } = this.#session;
    const job = this.#job;
    const plans = planUpdates(samples, job.size, this.#recipe);
    const resumed = job.isLeader ? await this.#resume() : undefined;
    this.#state = { ...this.#state, ...resumed, totalSteps: plans.length, fingerprint };
    this.#state = await agreeOnStart(job, trainer, this.#state);
    // Only the leader has files; every rank has the same numbers.
    await using files = job.isLeader ? await this.#openFiles() : undefined;
    const info = trainer.info();
    this.#emit({
      type: 'start',
      totalSteps: plans.length,
      resumedStep: this.#state.step,
      samples: samples.samples.length,
      droppedSamples: samples.dropped,
      skippedRecords: this.#session.dataset.skipped.length,
      trainableParameters: info.trainableParameters,
      device: info.model.device,
    });
    const left = plans.slice(this.#state.step);
    const loaded = prefetch(left, 2, async (plan) => ({
      plan,
      batches: await Promise.all(
        planOfRank(plan, job).microBatches.map((batch) =>
          Promise.all(batch.map((i) => samples.load(i, plan.pass))),
        ),
      ),
    }));
    for await (const { plan, batches } of loaded) {
      this.#options.signal?.throwIfAborted();
      const total = plans.length;
      const { signal } = this.#options;
      const isStopping = (): boolean => this.#run.isStopping;
      const done = await runUpdate({
        ...{ trainer, plan, loaded: batches, samples, totalSteps: total },
        ...{ recipe: this.#recipe, signal, job, isStopping },
      });
      this.#samplesDone += done.samples;
      this.#tokensDone += done.tokens;
      this.#peakBytes = Math.max(this.#peakBytes, done.peakBytes);
      this.#state = {
        ...this.#state,
        step: plan.update + 1,
        totalTokens: this.#state.totalTokens + done.tokens,
        lastLoss: done.loss,
        unloggedLoss: this.#state.unloggedLoss + done.loss,
        unloggedSteps: this.#state.unloggedSteps + 1,
      };
      const seconds = this.#seconds();
      const record = {
        step: this.#state.step,
        totalSteps: total,
        epoch: plan.epoch,
        loss: done.loss,
        learningRate: done.learningRate,
        gradNorm: done.gradNorm,
        elapsedSeconds: seconds,
        samplesPerSecond: this.#samplesDone / seconds,
        tokensPerSecond: this.#tokensDone / seconds,
        totalTokens: this.#state.totalTokens,
        peakBytes: this.#peakBytes,
      };
      this.#emit({ type: 'step', ...record });
      const isEnd = this.#state.step === total;
      if (this.#state.step % this.#recipe.logEvery === 0 || isEnd) {
        const { unloggedLoss, unloggedSteps } = this.#state;
        await files?.log({ ...record, loss: unloggedLoss / unloggedSteps });
        this.#state = { ...this.#state, unloggedLoss: 0, unloggedSteps: 0 };
      }
      const { saveEvery } = this.#recipe;
      if (saveEvery > 0 && this.#state.step % saveEvery === 0) await this.#save(files);
      if (done.isStopping) break;
    }
    if (this.#savedStep !== this.#state.step) await this.#save(files);
    await files?.plot();
    const isComplete = this.#state.step === plans.length;
    if (isComplete && job.isLeader) await this.#writeFinal();
    // No rank ends well before all is saved.
    await job.sum([0]);
    const result = this.#result(isComplete);
    this.#emit({ type: 'done', result });
    return result;
  }

  async #openFiles(): Promise<RunFiles> {
    const { output } = this.#options;
    await writeFileAtomic(join(output, 'run.json'), this.#describe());
    return RunFiles.open(output, this.#recipe.name, this.#state.step);
  }

  /** State of the newest complete checkpoint, its tensors restored. */
  async #resume(): Promise<TrainerState | undefined> {
    const { output } = this.#options;
    await tidyCheckpoints(output, 0);
    const step = (await listCheckpoints(output)).at(-1);
    if (step === undefined) return undefined;
    const directory = checkpointPath(output, step);
    const state = await readState(directory);
    if (state.fingerprint !== this.#session.fingerprint) {
      throw createError(
        'FACELLM_RUN_INVALID',
        `${directory} belongs to a run with another recipe, model or data; train into another folder, or ` +
          'remove this one to start afresh',
      );
    }
    try {
      await this.#session.trainer.restoreState(join(directory, OPTIMIZER), state.step).promise;
    } catch (error) {
      throw fromNative(error);
    }
    this.#savedStep = state.step;
    return state;
  }

  /** Every rank has done this update when the leader saves it. */
  async #save(files: RunFiles | undefined): Promise<void> {
    const { output } = this.#options;
    if (files === undefined) {
      this.#savedStep = this.#state.step;
      return;
    }
    const { trainer } = this.#session;
    await files.flush();
    const directory = await saveCheckpoint(output, this.#state, async (partial) => {
      await this.#writeWeights(partial);
      await trainer.saveState(join(partial, OPTIMIZER)).promise;
    });
    this.#savedStep = this.#state.step;
    await tidyCheckpoints(output, this.#recipe.keepCheckpoints);
    this.#emit({ type: 'checkpoint', step: this.#state.step, directory });
  }

  /** The trained adapter or model at the top of the run folder, as LLaMA-Factory leaves it. */
  async #writeFinal(): Promise<void> {
    try {
      await this.#writeWeights(this.#options.output);
    } catch (error) {
      throw fromNative(error);
    }
  }

  #writeWeights(directory: string): Promise<void> {
    const { trainer, modules, directory: base, config } = this.#session;
    const { model } = this.#options;
    return writeWeights(
      { trainer, recipe: this.#recipe, modules, model, directory: base, config },
      directory,
    );
  }

  /** The resolved configuration beside the run. */
  #describe(): string {
    const { model, data, dataset, imageRoot, adapter } = this.#options;
    const inputs = { model, data, dataset, imageRoot, adapter };
    const { sha256, file } = this.#session.dataset;
    return `${JSON.stringify(
      {
        recipe: this.#recipe,
        ...inputs,
        dataFile: file,
        dataSha256: sha256,
        fingerprint: this.#session.fingerprint,
        totalSteps: this.#state.totalSteps,
        modules: this.#session.modules,
      },
      null,
      2,
    )}\n`;
  }

  #seconds(): number {
    return Math.max((performance.now() - this.#startedAt) / 1000, 1e-9);
  }

  #result(isComplete: boolean): TrainingResult {
    const { step, totalSteps, lastLoss } = this.#state;
    const { output } = this.#options;
    return {
      steps: step,
      totalSteps,
      loss: lastLoss,
      isComplete,
      output,
      checkpoint: this.#savedStep < 0 ? undefined : checkpointPath(output, this.#savedStep),
      seconds: this.#seconds(),
      samplesPerSecond: this.#samplesDone / this.#seconds(),
      peakBytes: this.#peakBytes,
    };
  }

  #emit(event: TrainingEvent): void {
    this.#run.emit(event);
  }
}
