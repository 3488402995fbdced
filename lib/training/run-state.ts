/** Where a run stands: what its checkpoints keep of it, and what this process has done since it began or went on. */
import type { TrainerState } from './checkpoint-folder.js';
import type { TrainingResult } from './events.js';
import type { UpdatePlan } from './order.js';
import type { TrainingRecipe } from './recipe.js';
import type { StepRecord } from './run/step-record.js';
import { RunTotals } from './run-totals.js';
import { lastStepOf } from './schedule.js';
import type { UpdateOutcome } from './updates.js';
import { NONE_YET } from './validation/best.js';

export class RunState {
  readonly #recipe: TrainingRecipe;
  readonly #totals = new RunTotals();
  #kept: TrainerState;

  constructor(recipe: TrainingRecipe, inputs: TrainerState['inputs']) {
    this.#recipe = recipe;
    this.#kept = {
      step: 0,
      totalSteps: 0,
      totalTokens: 0,
      inputs,
      lastLoss: 0,
      unloggedLoss: 0,
      unloggedSteps: 0,
      setAside: [],
      validation: NONE_YET,
    };
  }

  /** What a checkpoint keeps. */
  get kept(): TrainerState {
    return this.#kept;
  }

  set(changes: Partial<TrainerState>): void {
    this.#kept = { ...this.#kept, ...changes };
  }

  /** How many updates the run makes, as far as its validations tell by now. */
  get lastStep(): number {
    const { totalSteps, validation } = this.#kept;
    return lastStepOf(this.#recipe, totalSteps, validation.endedAt);
  }

  get isAtEnd(): boolean {
    return this.#kept.step >= this.lastStep;
  }

  addUpdate(plan: UpdatePlan, done: UpdateOutcome): void {
    this.#totals.add(done);
    const { totalTokens, lastLoss: before, unloggedLoss, unloggedSteps } = this.#kept;
    // An update whose samples were all set aside has no loss; the one before it is told again.
    const hasLoss = done.samples > 0;
    const lastLoss = hasLoss ? done.loss : before;
    this.set({
      step: plan.update + 1,
      totalTokens: totalTokens + done.tokens,
      lastLoss,
      unloggedLoss: unloggedLoss + (hasLoss ? lastLoss : 0),
      unloggedSteps: unloggedSteps + (hasLoss ? 1 : 0),
    });
  }

  /** Of the update that was added last. */
  record({ epoch }: UpdatePlan, { learningRate, gradNorm }: UpdateOutcome): StepRecord {
    const { step, totalTokens, lastLoss } = this.#kept;
    const { seconds, samplesPerSecond, tokensPerSecond, computedShare, peakBytes } = this.#totals;
    return {
      ...{ step, totalSteps: this.lastStep, epoch, loss: lastLoss, learningRate, gradNorm },
      ...{ elapsedSeconds: seconds, samplesPerSecond, tokensPerSecond },
      ...{ totalTokens, computedShare, peakBytes },
    };
  }

  result(output: string, checkpoint: string | undefined): TrainingResult {
    const { step, totalSteps, lastLoss, validation } = this.#kept;
    const { best } = validation;
    const { seconds, samplesPerSecond, computedShare, peakBytes } = this.#totals;
    return {
      steps: step,
      totalSteps,
      loss: lastLoss,
      isComplete: this.isAtEnd,
      stoppedEarly: this.isAtEnd && step < totalSteps,
      best: best === null ? undefined : { ...best, metric: this.#recipe.bestMetric },
      ...{ output, checkpoint, seconds, samplesPerSecond, computedShare, peakBytes },
    };
  }
}
