/** What the trainer hands to every writer of this room after an optimizer update. */

export interface StepRecord {
  /** Optimizer updates done, from 1. */
  readonly step: number;
  /** Optimizer updates of the whole run, those before a resumption included. */
  readonly totalSteps: number;
  /** Passes over the data, with a fraction. */
  readonly epoch: number;
  /** Mean loss in nats a token since the last record. */
  readonly loss: number;
  /** Of this update. */
  readonly learningRate: number;
  /** Global L2 norm of the gradients before clipping. */
  readonly gradNorm: number;
  /** Seconds since this process began to train; a resumed run counts from 0 again. */
  readonly elapsedSeconds: number;
  readonly samplesPerSecond: number;
  readonly tokensPerSecond: number;
  /** Tokens fed to the model since step 1; 0 if they are not counted. */
  readonly totalTokens: number;
  /** Of the tokens of this process's updates, those that were computed; below 1 where samples share what they begin with. */
  readonly computedShare: number;
  /** Highest device memory in use so far; 0 if unknown. */
  readonly peakBytes: number;
}
