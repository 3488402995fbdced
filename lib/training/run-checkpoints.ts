/** The checkpoints of one run: the one that it goes on from, those that it leaves, the best. */
import { join } from 'node:path';

import type { NativeTrainer } from '../binding/native.js';
import { createError, fromNative } from '../errors.js';
import {
  checkpointPath,
  listCheckpoints,
  OPTIMIZER,
  readState,
  removeOld,
  removePartial,
  saveCheckpoint,
  type TrainerState,
} from './checkpoint-folder.js';
import { changedInputs } from './run-inputs.js';

export interface RunCheckpointsOptions {
  readonly output: string;
  /** How many of them stay beside the best; 0: all. */
  readonly keep: number;
  readonly trainer: NativeTrainer;
  /** The trained weights, into a folder. */
  readonly write: (directory: string) => Promise<void>;
  /** Once a checkpoint is complete on the disk. */
  readonly onSaved: (step: number, directory: string) => void;
}

export class RunCheckpoints {
  readonly #options: RunCheckpointsOptions;
  #savedStep = -1;
  /** The last one on its way to the disk. */
  #saving: Promise<void> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;

  constructor(options: RunCheckpointsOptions) {
    this.#options = options;
  }

  /** -1: there is none. */
  get savedStep(): number {
    return this.#savedStep;
  }

  /** Folder of the last one. */
  get last(): string | undefined {
    return this.#savedStep < 0 ? undefined : checkpointPath(this.#options.output, this.#savedStep);
  }

  /**
   * State of the newest complete one, its tensors restored; undefined: there is none.
   *
   * @throws TrainingError FACELLM_RUN_INVALID where it belongs to a run with other inputs
   */
  async resume(inputs: TrainerState['inputs']): Promise<TrainerState | undefined> {
    const { output } = this.#options;
    await removePartial(output);
    const step = (await listCheckpoints(output)).at(-1);
    if (step === undefined) return undefined;
    const directory = checkpointPath(output, step);
    const state = await readState(directory);
    const details = changedInputs(state.inputs, inputs);
    if (details.length > 0) {
      throw createError(
        'FACELLM_RUN_INVALID',
        `${directory} belongs to a run with another recipe, model or data; restore them, train into another ` +
          'folder, or remove this one to start afresh',
        { details },
      );
    }
    await this.#restore(directory, state.step);
    this.#savedStep = state.step;
    return state;
  }

  /**
   * Writes one. What the disk still takes then goes on beside the next updates; {@link settled} waits for it, and so does the next
   * one.
   *
   * @throws TrainingError FACELLM_RUN_WRITE, of the one before too
   */
  async save(state: TrainerState): Promise<void> {
    const { output, keep, trainer, write, onSaved } = this.#options;
    await this.#saving;
    const { step, validation } = state;
    const finish = await saveCheckpoint(output, state, async (partial) => {
      await write(partial);
      await trainer.saveState(join(partial, OPTIMIZER)).promise;
    });
    this.#savedStep = step;
    this.#saving = finish().then(async (directory) => {
      await removeOld(output, keep, validation.best?.step);
      onSaved(step, directory);
    });
    // It is told before the next update, and by whoever waits.
    this.#saving.catch((error: unknown) => (this.#failure = { error }));
  }

  /** @throws TrainingError FACELLM_RUN_WRITE where the last one is known to have failed */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Another rank saves this one. */
  skip(step: number): void {
    this.#savedStep = step;
  }

  /** @throws TrainingError FACELLM_RUN_WRITE of the last one */
  settled(): Promise<void> {
    return this.#saving;
  }

  /** Weights of the best one, where it is known and is not the present one. */
  async restoreBest({ step, validation: { best } }: TrainerState): Promise<void> {
    if (best === null || best.step === step) return;
    await this.#restore(checkpointPath(this.#options.output, best.step), best.step);
  }

  async #restore(directory: string, step: number): Promise<void> {
    await this.#options.trainer
      .restoreState(join(directory, OPTIMIZER), step)
      .promise.catch((error: unknown) => {
        throw fromNative(error);
      });
  }
}
