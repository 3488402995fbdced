/** What all routes of a server share. */
import type { FaceLlm } from '../model/index.js';
import type { Admission } from './admission.js';
import type { BatchQueue } from './batch-store.js';
import type { BodyParser } from './body-parser.js';
import type { Calibrations } from './calibrations.js';
import type { Catalogue } from './catalogue.js';
import type { Guards } from './guards.js';
import type { Keys } from './keys.js';
import type { Metrics } from './metrics.js';
import type { Policy } from './options.js';
import type { Pulse } from './pulse.js';
import type { RunFolders } from './run-folders.js';

/** What answering takes, whoever asked. */
export interface EngineState {
  readonly model: FaceLlm;
  readonly catalogue: Catalogue;
  readonly calibrations: Calibrations;
  readonly policy: Policy;
  readonly admission: Admission;
  readonly parser: BodyParser;
  /** Aborted when what is under way shall end. */
  readonly ending: AbortSignal;
  /** Streams that are open. */
  streams: number;
}

export interface ServerState extends EngineState {
  readonly keys: Keys;
  readonly guards: () => Guards;
  readonly metrics: Metrics;
  readonly pulse: Pulse;
  readonly log: (line: object) => void;
  /** Undefined: the server keeps no files. */
  readonly batches: BatchQueue | undefined;
  /** Undefined: there are no runs to watch. */
  readonly runs: RunFolders | undefined;
  hasFailed: boolean;
  /** The model is of no use any more. */
  fail(error: unknown): void;
}
