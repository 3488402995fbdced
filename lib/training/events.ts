/** What a run tells while it goes on: one stream for the API, the command line and the run's files. */
import type { WrittenCard } from '../card/index.js';
import type { ModelWarning } from '../model/index.js';
import type { StepRecord } from './run/step-record.js';
import type { ValidationRecord } from './validation/validation.js';

export interface TrainingResult {
  /** Updates done by the whole run. */
  readonly steps: number;
  /** Of the whole plan, however early the run ended. */
  readonly totalSteps: number;
  /** Of the last update. */
  readonly loss: number;
  /** Whether all updates were done, or the run was stopped and can be resumed. */
  readonly isComplete: boolean;
  /** Whether it ended before its last update, since no validation was better for so long as the recipe waits. */
  readonly stoppedEarly: boolean;
  /** The validation whose weights are the result; undefined without validation. */
  readonly best:
    { readonly step: number; readonly metric: string; readonly value: number } | undefined;
  /** Folder of the run. */
  readonly output: string;
  /** Folder of the last checkpoint. */
  readonly checkpoint: string | undefined;
  readonly seconds: number;
  readonly samplesPerSecond: number;
  /** As of the last step. */
  readonly computedShare: number;
  readonly peakBytes: number;
}

export interface ResultCard extends WrittenCard {
  /** Why older cards' facts (licence, trainings) are not on it, a text each. */
  readonly unread: readonly string[];
}

export type TrainingEvent =
  | { readonly type: 'load'; readonly bytesDone: number; readonly bytesTotal: number }
  | { readonly type: 'prepare'; readonly recordsDone: number; readonly recordsTotal: number }
  /** `BASE_DIFFERS` alone: the adapter to start from was trained upon another base. Before `load`. */
  | { readonly type: 'warning'; readonly warning: ModelWarning }
  /** Closed questions or pairs whose answers the start model has scored, before the first update. */
  | { readonly type: 'score'; readonly recordsDone: number; readonly recordsTotal: number }
  | {
      readonly type: 'start';
      /** Here and in the events that follow: how many it will be, as far as validations tell by then. */
      readonly totalSteps: number;
      /** Updates already done by the checkpoint that the run resumes from. */
      readonly resumedStep: number;
      readonly samples: number;
      /** Records that the run is examined on. */
      readonly validationSamples: number;
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
  | ({ readonly type: 'validation' } & ValidationRecord)
  | { readonly type: 'checkpoint'; readonly step: number; readonly directory: string }
  /** The result's card is written: into README.md, or beside it where that is not as we had written it. */
  | ({ readonly type: 'card' } & ResultCard)
  | { readonly type: 'done'; readonly result: TrainingResult };
