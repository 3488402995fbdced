/** A provider's batch interface: many requests in one file, answered within a day at a lower price. */
import type { TeacherAnswer, TeacherFailure, TeacherRequest } from './exchange.js';

export interface BatchStatus {
  /** In the provider's words. */
  readonly status: string;
  /** `working` may still change; `ended` has what there will be; `failed` was not taken at all. */
  readonly state: 'working' | 'ended' | 'failed';
  readonly done: number;
  readonly total: number;
  /** Files of results, answers and errors. */
  readonly resultFiles: readonly string[];
  /** Why it failed. */
  readonly message: string;
}

export interface BatchLine {
  /** As given to `line`. */
  readonly key: string;
  /** Undefined for a request that the batch did not get to. */
  readonly outcome: TeacherAnswer | TeacherFailure | undefined;
}

/** All methods throw TeacherFailure. */
export interface BatchService {
  /** The request as a line of an input file, newline included. */
  line(key: string, request: TeacherRequest): Promise<string>;
  /** @returns the id of the uploaded file */
  upload(path: string): Promise<string>;
  /** The batch made from an uploaded file, if there is one: a killed process may have made it. */
  find(fileId: string): Promise<string | undefined>;
  /** @returns the id of the batch */
  submit(fileId: string): Promise<string>;
  status(batchId: string): Promise<BatchStatus>;
  results(fileId: string): AsyncIterable<BatchLine>;
}
