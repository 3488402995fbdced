/**
 * Asks all open pairs, many at a time, within the limits. A request that fails in passing is repeated
 * after a wait; a rejected answer is asked for again at once; what stays without an answer is set aside.
 */
import { setMaxListeners } from 'node:events';

import { createError } from '../../errors.js';
import {
  type TeacherAnswer,
  isTeacherFailure,
  TeacherFailure,
  type TeacherRequest,
} from '../teachers/exchange.js';
import type { Teacher } from '../teachers/teacher.js';
import { isPassing, waitBefore } from './backoff.js';
import { type Clock, RateLimiter, type RateLimits, SYSTEM_CLOCK } from './limiter.js';
import { REQUEST_FAILED } from './run-journal.js';
import { setAside, settleAnswer, type SettleContext, type Settlement } from './settle.js';
import { costOf } from './spending.js';

export interface OnlineOptions extends RateLimits {
  readonly concurrency: number;
  /** Repetitions of a request that failed in passing. */
  readonly maxRetries: number;
  readonly clock?: Clock | undefined;
}

export interface OnlineContext extends SettleContext {
  readonly teacher: Teacher;
  /** Raised to finish what is under way and start nothing more. */
  readonly stopSignal: AbortSignal;
  readonly onFailure: (failure: TeacherFailure) => void;
}

/** Why no more is asked: all done, stopped from outside, or the money is spent. */
export type OnlineOutcome = 'done' | 'stopped' | 'spending_limit';

/** So many pairs in a row without any reply mean that the teacher is gone. */
const MAX_FAILED_IN_A_ROW = 16;

/** Why a pair has no answer and is not set aside either. */
type Halt = 'stopped' | 'spending_limit';

/** What is under way finishes: it is paid for. */
const NEVER = new AbortController().signal;
// One listener a request under way, which is no leak.
setMaxListeners(0, NEVER);

class OnlineAsking {
  readonly #context: OnlineContext;
  readonly #options: OnlineOptions;
  readonly #clock: Clock;
  readonly #limiter: RateLimiter;
  readonly #open: Generator<number>;
  /** Raised by the first failure that ends the run; answers under way are still waited for. */
  readonly #ending = new AbortController();
  #error: Error | undefined;
  #isOutOfMoney = false;
  #failedInARow = 0;

  constructor(context: OnlineContext, options: OnlineOptions) {
    this.#context = context;
    this.#options = options;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    this.#limiter = new RateLimiter(options, this.#clock);
    this.#open = context.journal.ledger.pairs('open');
    setMaxListeners(0, this.#ending.signal);
  }

  async run(): Promise<OnlineOutcome> {
    const { stopSignal, journal } = this.#context;
    const stop = (): void => this.#ending.abort();
    stopSignal.addEventListener('abort', stop, { once: true });
    if (stopSignal.aborted) stop();
    try {
      await Promise.all(Array.from({ length: this.#options.concurrency }, () => this.#work()));
    } finally {
      stopSignal.removeEventListener('abort', stop);
    }
    // What is known is on the disk before anything is said about it.
    await journal.durable();
    if (this.#error !== undefined) throw this.#error;
    if (journal.ledger.count('open') === 0) return 'done';
    return this.#isOutOfMoney ? 'spending_limit' : 'stopped';
  }

  get #isEnding(): boolean {
    return this.#ending.signal.aborted;
  }

  #end(error: unknown): void {
    this.#error ??= error instanceof Error ? error : new Error(String(error));
    this.#ending.abort();
  }

  async #work(): Promise<void> {
    try {
      while (!this.#isEnding && !this.#isOutOfMoney) {
        const next = this.#open.next();
        if (next.done === true) return;
        this.#lookAhead(next.value);
        await this.#settle(next.value);
        await this.#keepUp();
      }
    } catch (error) {
      this.#end(error);
    }
  }

  /** Pictures are read while the answers before them are waited for. */
  #lookAhead(pair: number): void {
    const { plan, teacher } = this.#context;
    const ahead = pair + this.#options.concurrency;
    if (ahead < plan.size) teacher.expect?.(plan.image(ahead).path);
  }

  /** A slow disk slows the asking, so that a failing machine loses no more than a killed process. */
  async #keepUp(): Promise<void> {
    const { journal } = this.#context;
    if (journal.failure !== undefined || journal.unsynced > this.#options.concurrency) {
      await journal.durable();
    }
  }

  async #settle(pair: number): Promise<void> {
    for (;;) {
      const outcome = await this.#ask(pair);
      if (outcome === 'spending_limit') this.#isOutOfMoney = true;
      if (isTeacherFailure(outcome)) this.#giveUp(pair, outcome);
      if (outcome !== 'again' || this.#isEnding) return;
    }
  }

  #giveUp(pair: number, failure: TeacherFailure): void {
    const { message, kind } = failure;
    if (kind === 'fatal') {
      this.#end(
        createError('FACELLM_TEACHER_FAILED', `the teacher takes no questions: ${message}`, {
          cause: failure,
        }),
      );
      return;
    }
    setAside(this.#context, pair, kind === 'request' ? 'bad_request' : REQUEST_FAILED, message);
    if (kind === 'request') return;
    if (++this.#failedInARow < MAX_FAILED_IN_A_ROW) return;
    this.#end(
      createError(
        'FACELLM_TEACHER_FAILED',
        `${this.#failedInARow} questions in a row got no reply, the last: ${message}; run the same command again once the teacher is back`,
        { cause: failure },
      ),
    );
  }

  /** One answer, with as many requests as it takes; or the last failure. */
  async #ask(pair: number): Promise<Settlement | Halt | TeacherFailure> {
    for (let retry = 0; ; retry++) {
      if (this.#isEnding) return 'stopped';
      const outcome = await this.#request(pair);
      if (!isTeacherFailure(outcome)) return outcome;
      this.#context.onFailure(outcome);
      if (!isPassing(outcome) || retry >= this.#options.maxRetries) return outcome;
      await this.#wait(outcome, retry);
    }
  }

  /** A busy server is left alone by everybody; any other fault is this request's own. */
  async #wait(failure: TeacherFailure, retry: number): Promise<void> {
    const ms = waitBefore(retry, failure);
    if (failure.kind === 'busy') this.#limiter.pause(ms);
    await this.#clock.sleep(ms, this.#ending.signal);
  }

  /** Money is reserved until what the request cost, or may have cost, is in the account. */
  async #request(pair: number): Promise<Settlement | Halt | TeacherFailure> {
    const { plan, teacher, prices, journal } = this.#context;
    const request = plan.request(pair, journal.ledger.attempts(pair));
    let most = 0;
    let isReserved = false;
    try {
      const bound = await teacher.bound?.(request);
      if (prices !== undefined && bound !== undefined) most = costOf(bound, prices);
      isReserved = await journal.account.reserve(most, this.#ending.signal);
      if (!isReserved) return this.#isEnding ? 'stopped' : 'spending_limit';
      const answer = await this.#limited(request);
      if (answer === undefined) return 'stopped';
      this.#failedInARow = 0;
      return settleAnswer(this.#context, pair, request.attempt, answer, bound);
    } catch (error) {
      if (!isTeacherFailure(error)) throw error;
      if (error.mayBePaid && most > 0) {
        const detail = error.message;
        journal.record({ type: 'lost', i: pair, id: request.id, detail, cost: most });
      }
      return error;
    } finally {
      if (isReserved) journal.account.release(most);
    }
  }

  /** Undefined if the run ended before the request could start. */
  async #limited(request: TeacherRequest): Promise<TeacherAnswer | undefined> {
    const { teacher } = this.#context;
    const { promptTokens = 0, completionTokens = 0 } = (await teacher.estimate?.(request)) ?? {};
    const assumed = promptTokens + completionTokens;
    try {
      await this.#limiter.acquire(assumed, this.#ending.signal);
    } catch (error) {
      if (this.#isEnding) return undefined;
      throw error;
    }
    const answer = await teacher.answer(request, NEVER);
    const { usage } = answer;
    if (usage) this.#limiter.settle(assumed, usage.promptTokens + usage.completionTokens);
    return answer;
  }
}

/**
 * Asks until every pair is answered or set aside, or something ends the run; then waits for what is
 * under way. Everything recorded is durable when this settles.
 *
 * @throws TeacherError FACELLM_TEACHER_FAILED if the teacher takes no questions at all
 * @throws TrainingError FACELLM_RUN_WRITE
 */
export function askOnline(context: OnlineContext, options: OnlineOptions): Promise<OnlineOutcome> {
  return new OnlineAsking(context, options).run();
}
