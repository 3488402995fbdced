/** What every teacher is: something that answers one question about one picture, or says why not. */
import type { BatchService } from './batch-service.js';
import type { TeacherAnswer, TeacherRequest, TokenUsage } from './exchange.js';

/** Money for a million tokens, in US dollars. */
export interface TokenPrices {
  readonly input: number;
  readonly output: number;
}

export interface Teacher extends AsyncDisposable {
  readonly name: string;
  /** What answers depend on; a run is resumed only with the same. JSON-serialisable, without secrets. */
  readonly identity: Readonly<Record<string, unknown>>;
  /** How many requests at a time suit it. */
  readonly defaultConcurrency: number;
  /** Undefined if a request costs nothing, or nobody knows what. */
  readonly prices: TokenPrices | undefined;
  /** Bound of a request's tokens, never below what is charged. Undefined if it has no tokens. */
  bound?(request: TeacherRequest): Promise<TokenUsage>;
  /** What a request will probably take. */
  estimate?(request: TeacherRequest): Promise<TokenUsage>;
  /** A hint that questions about this picture come soon. Never throws. */
  expect?(image: string): void;
  /** Undefined if it answers single requests only. */
  readonly batches?: BatchService | undefined;
  /** @throws TeacherFailure; the signal's reason if aborted */
  answer(request: TeacherRequest, signal: AbortSignal): Promise<TeacherAnswer>;
}
