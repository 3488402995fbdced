/**
 * What becomes of a teacher's answer: used, asked for again, or set aside. The one place where answers
 * turn into entries of the journal, for single requests and for batches.
 */
import type { TeacherAnswer, TokenUsage } from '../teachers/exchange.js';
import type { Teacher, TokenPrices } from '../teachers/teacher.js';
import { judge } from './gate.js';
import type { Plan } from './plan.js';
import type { RunJournal } from './run-journal.js';
import { costOf } from './spending.js';
import { withoutThinking } from './thinking.js';

/** Rejected text is kept for those who tune the gate, up to this length. */
const MAX_REJECTED_TEXT = 2000;

export interface SettleContext {
  readonly plan: Plan;
  readonly journal: RunJournal;
  readonly teacher: Pick<Teacher, 'name'>;
  /** Undefined if answers cost nothing. */
  readonly prices: TokenPrices | undefined;
  /** Answers to a question before it is set aside. */
  readonly maxAttempts: number;
  /** Called when a pair is settled for good and that is durable. */
  readonly onSettled: () => void;
}

export type Settlement = 'answered' | 'aside' | 'again';

/**
 * Judges and records an answer.
 *
 * @param bound what the request took at most; charged where the teacher does not tell
 */
export function settleAnswer(
  { plan, journal, teacher, prices, maxAttempts, onSettled }: SettleContext,
  pair: number,
  attempt: number,
  answer: TeacherAnswer,
  bound: TokenUsage | undefined,
): Settlement {
  const id = plan.id(pair);
  const { usage, model } = answer;
  const charged = usage ?? bound;
  const cost = prices === undefined || charged === undefined ? 0 : costOf(charged, prices);
  const { text, cut } = withoutThinking(answer.text);
  const rejection = judge({ ...answer, text }, plan.request(pair, attempt));
  if (rejection === undefined) {
    journal.record(
      {
        ...{ type: 'answer', i: pair, id, text, attempt, teacher: teacher.name, model },
        ...{ promptSet: plan.promptSha256, usage, cost },
        ...(cut > 0 ? { thinking: cut } : {}),
      },
      onSettled,
    );
    return 'answered';
  }
  const { reason, detail } = rejection;
  journal.record({
    ...{ type: 'rejected', i: pair, id, reason, detail, attempt, usage, cost },
    text: answer.text.slice(0, MAX_REJECTED_TEXT),
  });
  const counted = attempt + 1 - (journal.forgiven.get(pair) ?? 0);
  if (counted < maxAttempts) return 'again';
  setAside({ plan, journal, onSettled }, pair, reason, detail);
  return 'aside';
}

/** Gives a pair up, with the reason. */
export function setAside(
  { plan, journal, onSettled }: Pick<SettleContext, 'plan' | 'journal' | 'onSettled'>,
  pair: number,
  reason: string,
  detail: string,
): void {
  const attempts = journal.ledger.attempts(pair);
  journal.record(
    { type: 'aside', i: pair, id: plan.id(pair), reason, detail, attempts },
    onSettled,
  );
}
