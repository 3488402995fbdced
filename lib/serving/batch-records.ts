/** What is kept of a file and of a batch, as OpenAI's objects have it. */
import { randomUUID } from 'node:crypto';

/** Times are seconds since 1970, as OpenAI's. */
export interface StoredFile {
  readonly id: string;
  readonly owner: string;
  readonly bytes: number;
  readonly created_at: number;
  readonly expires_at: number;
  readonly filename: string;
  readonly purpose: 'batch' | 'batch_output';
}

export type BatchStatus =
  | 'validating'
  | 'in_progress'
  | 'finalizing'
  | 'completed'
  | 'failed'
  | 'expired'
  | 'cancelling'
  | 'cancelled';

export interface StoredBatch {
  readonly id: string;
  readonly owner: string;
  readonly rights: readonly string[];
  readonly endpoint: string;
  readonly input_file_id: string;
  readonly created_at: number;
  readonly expires_at: number;
  readonly metadata: Readonly<Record<string, string>> | null;
  status: BatchStatus;
  output_file_id: string | null;
  error_file_id: string | null;
  errors: { readonly object: 'list'; readonly data: readonly object[] } | null;
  request_counts: { readonly total: number; readonly completed: number; readonly failed: number };
  in_progress_at: number | null;
  finalizing_at: number | null;
  completed_at: number | null;
  failed_at: number | null;
  expired_at: number | null;
  cancelling_at: number | null;
  cancelled_at: number | null;
}

export const isOver = ({ status }: Pick<StoredBatch, 'status'>): boolean =>
  ['completed', 'failed', 'expired', 'cancelled'].includes(status);
export const seconds = (): number => Math.floor(Date.now() / 1000);
export const newId = (prefix: string): string => `${prefix}${randomUUID().replaceAll('-', '')}`;
