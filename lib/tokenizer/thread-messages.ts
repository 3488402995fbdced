/** What the tokenizer's thread and its owner say to each other. */
import type { ErrorCode } from '../errors.js';
import type { TokenTableData } from './token-table.js';
import type { TextSegment } from './tokenizer.js';

export interface EncodeRequest {
  readonly request: number;
  readonly segments: readonly TextSegment[];
}

export interface Ready extends TokenTableData {
  readonly kind: 'ready';
  readonly controlTokens: readonly (readonly [string, number])[];
}

/** An error in pieces: a class does not survive the way between threads. */
export interface Failure {
  readonly kind: 'failed';
  /** Absent: loading failed. */
  readonly request?: number;
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: readonly string[];
}

export interface Encoded {
  readonly kind: 'encoded';
  readonly request: number;
  readonly ids: Int32Array;
}

export type ThreadMessage = Ready | Failure | Encoded;
