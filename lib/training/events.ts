/** What a run tells while it goes on: one stream for the API, the command line and the run's files. */
import type { StepRecord } from './run/step-record.js';

export interface TrainingResult {
  /** Updates done by the whole run. */
  readonly steps: number;
  readonly totalSteps: number;
  /** Of the last update. */
  readonly loss: number;
  /** Whether all updates were done, or the run was stopped and can be resumed. */
  readonly isComplete: boolean;
  /** Folder of the run. */
  readonly output: string;
  /** Folder of the last checkpoint. */
  readonly checkpoint: string | undefined;
  readonly seconds: number;
  readonly samplesPerSecond: number;
  readonly peakBytes: number;
}

export type TrainingEvent =
  | { readonly type: 'load'; readonly bytesDone: number; readonly bytesTotal: number }
  | { readonly type: 'prepare'; readonly recordsDone: number; readonly recordsTotal: number }
  | {
      readonly type: 'start';
      readonly totalSteps: number;
      /** Updates already done by the checkpoint that the run resumes from. */
      readonly resumedStep: number;
      readonly samples: number;
      /** Left out: over the length limit (`onTooLong: 'drop'`). */
      readonly droppedSamples: number;
      /** Bad records set aside so far (`onInvalid: 'skip'`). */
      readonly skippedRecords: number;
      readonly trainableParameters: number;
      readonly device: string;
    }
  | ({ readonly type: 'step' } & StepRecord)
  /** A record was set aside in the middle of the run (`onInvalid: 'skip'`). */
  | { readonly type: 'skip'; readonly record: number; readonly problems: readonly string[] }
  | { readonly type: 'checkpoint'; readonly step: number; readonly directory: string }
  | { readonly type: 'done'; readonly result: TrainingResult };
