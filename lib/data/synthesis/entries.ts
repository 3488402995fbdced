/** The lines of a run's journal. */
import { z } from 'zod';

import { createError } from '../../errors.js';
import type { TokenUsage } from '../teachers/exchange.js';

interface PairEntry {
  /** Number of the pair in the plan. */
  readonly i: number;
  /** The same for readers: `val/1.jpg#skin_texture`. */
  readonly id: string;
}

export interface AnswerEntry extends PairEntry {
  readonly type: 'answer';
  readonly text: string;
  readonly attempt: number;
  readonly teacher: string;
  readonly model?: string | undefined;
  /** sha256 of the prompt set. */
  readonly promptSet: string;
  readonly usage?: TokenUsage | undefined;
  /** US dollars. */
  readonly cost: number;
  /** Characters of thinking that stood before the text and were cut off. */
  readonly thinking?: number | undefined;
}

/** An answer that was paid for and is not used. */
export interface RejectedEntry extends PairEntry {
  readonly type: 'rejected';
  readonly reason: string;
  readonly detail: string;
  readonly text: string;
  readonly attempt: number;
  readonly usage?: TokenUsage | undefined;
  readonly cost: number;
}

/** No answer will be used: the last rejection, or why the question could not be asked. */
export interface AsideEntry extends PairEntry {
  readonly type: 'aside';
  readonly reason: string;
  readonly detail: string;
  readonly attempts: number;
}

/** A request that may have been charged and gave no answer. */
export interface LostEntry extends PairEntry {
  readonly type: 'lost';
  readonly detail: string;
  readonly cost: number;
}

/** The identity of the run; the first line. */
export interface RunEntry {
  readonly type: 'run';
  readonly [key: string]: unknown;
}

export interface SessionEntry {
  readonly type: 'session';
  readonly at: string;
  /** Requests that a kill can lose, and the most that each costs. */
  readonly atRisk: number;
  readonly most: number;
}

/** A session that ended by itself. */
export interface EndEntry {
  readonly type: 'end';
}

/** A job at the provider's Batch API, from its input file to its collected answers. */
export interface BatchEntry {
  readonly type: 'batch';
  readonly n: number;
  readonly state: 'prepared' | 'uploaded' | 'submitted' | 'collected';
  /** With `prepared`: the pairs asked and the attempt of each. */
  readonly pairs?: readonly (readonly [pair: number, attempt: number])[] | undefined;
  /** With `prepared`: the most that it costs. */
  readonly most?: number | undefined;
  readonly fileId?: string | undefined;
  readonly batchId?: string | undefined;
}

export type Entry =
  | AnswerEntry
  | RejectedEntry
  | AsideEntry
  | LostEntry
  | RunEntry
  | SessionEntry
  | EndEntry
  | BatchEntry;

const usage = z.object({ promptTokens: z.number(), completionTokens: z.number() }).optional();
const pair = { i: z.number().int().nonnegative(), id: z.string() };
const text = z.string();

const entrySchema = z.discriminatedUnion('type', [
  z.object({
    ...{ type: z.literal('answer'), ...pair, text, attempt: z.number(), teacher: text },
    ...{ model: text.optional(), promptSet: text, usage, cost: z.number() },
    thinking: z.number().optional(),
  }),
  z.object({
    ...{ type: z.literal('rejected'), ...pair, reason: text, detail: text, text },
    ...{ attempt: z.number(), usage, cost: z.number() },
  }),
  z.object({
    ...{ type: z.literal('aside'), ...pair, reason: text, detail: text, attempts: z.number() },
  }),
  z.object({ type: z.literal('lost'), ...pair, detail: text, cost: z.number() }),
  z.looseObject({ type: z.literal('run') }),
  z.object({ type: z.literal('session'), at: text, atRisk: z.number(), most: z.number() }),
  z.object({ type: z.literal('end') }),
  z.object({
    ...{ type: z.literal('batch'), n: z.number().int() },
    state: z.enum(['prepared', 'uploaded', 'submitted', 'collected']),
    pairs: z.array(z.tuple([z.number(), z.number()])).optional(),
    ...{ most: z.number().optional(), fileId: text.optional(), batchId: text.optional() },
  }),
]);

/** @throws TrainingError FACELLM_RUN_INVALID */
export function readEntry(line: Readonly<Record<string, unknown>>, path: string): Entry {
  const parsed = entrySchema.safeParse(line);
  if (parsed.success) return parsed.data;
  const details = parsed.error.issues.map(({ path: at, message }) => `${at.join('.')}: ${message}`);
  throw createError(
    'FACELLM_RUN_INVALID',
    `${path} holds a line that is none of this version's; name another output folder`,
    { details },
  );
}
