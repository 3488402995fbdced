/** One question to a teacher, and what comes of it: an answer, or why there is none. */
import type { FaceLabels } from '../labels/vocabulary.js';
import type { PromptQuestion } from '../prompts/prompt-set.js';

/** One question to a teacher. */
export interface TeacherRequest {
  /** The same for every try of this question about this picture, in every run over the same data. */
  readonly id: string;
  /** Absolute path of the picture. */
  readonly image: string;
  readonly labels: FaceLabels;
  readonly question: PromptQuestion;
  readonly system: string;
  /** The user turn, labels included. */
  readonly prompt: string;
  /** Answers set aside so far, for teachers that would give the same one again. */
  readonly attempt: number;
}

export interface TokenUsage {
  readonly promptTokens: number;
  readonly completionTokens: number;
}

export interface TeacherAnswer {
  readonly text: string;
  /** `filtered`: the provider's own filter cut or withheld the answer. */
  readonly finish: 'stop' | 'length' | 'filtered';
  /** The teacher's own statement that it refuses, where its interface has one. */
  readonly refusal?: string | undefined;
  /** Undefined if the teacher does not tell. */
  readonly usage?: TokenUsage | undefined;
  /** The model that answered, as the teacher names it. */
  readonly model?: string | undefined;
}

/**
 * - `busy`: come back after `retryAfterMs`; nothing was computed
 * - `passing`: may work next time: broken connections, time limits, faults of the server
 * - `request`: this question will never be taken
 * - `fatal`: no question will be taken: a wrong key, an unknown model
 */
export type FailureKind = 'busy' | 'passing' | 'request' | 'fatal';

/** Why a teacher gave no answer. */
export class TeacherFailure extends Error {
  override readonly name = 'TeacherFailure';
  readonly kind: FailureKind;
  /** What the server asked for, in milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** The request may have been answered and charged all the same. */
  readonly mayBePaid: boolean;

  constructor(
    kind: FailureKind,
    message: string,
    options: {
      readonly retryAfterMs?: number | undefined;
      readonly mayBePaid?: boolean;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, { cause: options.cause });
    this.kind = kind;
    this.retryAfterMs = options.retryAfterMs;
    this.mayBePaid = options.mayBePaid ?? false;
  }
}

/**
 * Whether a teacher failed, as opposed to the program. By name: a teacher may come from another copy of
 * this module, where `instanceof` is of no use.
 */
export function isTeacherFailure(error: unknown): error is TeacherFailure {
  return error instanceof Error && error.name === 'TeacherFailure';
}
