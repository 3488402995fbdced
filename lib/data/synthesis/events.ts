/** Making a dataset, under way: what it tells while it goes on, and in the end. */
import type { JobRun } from '../../jobs/index.js';
import type { DatasetStatistics } from './statistics.js';
import type { JudgementSummary } from '../judging/tally.js';
import type { Spending } from './spending.js';

export interface GenerationProgress {
  /** Pairs of the plan that are asked. */
  readonly total: number;
  /** Answered or set aside, and safe on the disk; earlier sessions included. */
  readonly settled: number;
  readonly setAside: number;
  /** Answers that were not used; of this and earlier sessions. */
  readonly rejected: number;
  /** Requests of this session that failed. */
  readonly failedRequests: number;
  readonly spending: Spending;
  /** Of this session. */
  readonly elapsedSeconds: number;
  /** Settled by this session. */
  readonly settledNow: number;
}

export type GenerationEvent =
  | {
      readonly type: 'start';
      readonly images: number;
      readonly total: number;
      /** Settled by earlier sessions. */
      readonly resumed: number;
      readonly skippedRows: number;
    }
  | ({ readonly type: 'progress' } & GenerationProgress)
  | {
      readonly type: 'batch';
      readonly number: number;
      readonly batchId: string;
      readonly status: string;
      readonly done: number;
      readonly total: number;
    }
  /** Pictures whose answers have been judged, of those with answers. */
  | { readonly type: 'judge'; readonly done: number; readonly total: number }
  | { readonly type: 'write' };

export type GenerationEnd = 'complete' | 'stopped' | 'spending_limit';

export interface GenerationResult {
  /** Absolute. */
  readonly output: string;
  /** `stopped` and `spending_limit` can be resumed by the same call. */
  readonly end: GenerationEnd;
  /** Pairs that are asked. */
  readonly total: number;
  readonly answered: number;
  /** Of these, answers that came with thinking in front, which was cut off. */
  readonly thinkingCut: number;
  /** Pairs set aside, by reason. */
  readonly setAside: Readonly<Record<string, number>>;
  /** Pairs whose question needs a label that is not known. */
  readonly unasked: number;
  /** Pairs without an answer yet. */
  readonly open: number;
  /** Rows of the CSV that were left out. */
  readonly skippedRows: number;
  /** Answers that were not used, by reason. */
  readonly rejected: Readonly<Record<string, number>>;
  /** Of this session. */
  readonly failedRequests: number;
  /** True figures, of all sessions. */
  readonly spending: Spending;
  readonly teacher: Readonly<Record<string, unknown>>;
  readonly promptSet: { readonly name: string; readonly version: string; readonly sha256: string };
  /** What the judge says of the answers; absent without one. */
  readonly judgement?: JudgementSummary | undefined;
  readonly statistics: DatasetStatistics;
  /** Written, relative to the output folder. */
  readonly files: readonly string[];
  /** Of this session. */
  readonly seconds: number;
}

/** `stop()` finishes the requests under way, writes the files and resolves. */
export type GenerationRun = JobRun<GenerationEvent, GenerationResult>;
