/**
 * Masks of tokens by a grammar, from a thread of its own, which counts the work of each request and refuses who asks too much. Where
 * one takes far too long all the same, the thread is given up and another started: matchers go on there from what they have taken.
 * What may have to be compiled is sent one at a time, clients in turn; tokens of answers under way are sent at once.
 */
import type { Worker } from 'node:worker_threads';

import { createError, InvalidArgumentError } from '../../errors.js';
import type { Grammar } from '../../structured/index.js';
import { startWorker } from '../../tokenizer/start-worker.js';
import { GrammarMatcher } from './grammar-matcher.js';
import { type GrammarAsker, GrammarTurns, keyOf } from './grammar-turns.js';
import type { GrammarMessage, GrammarReply, GrammarRequest, GrammarSetup } from './messages.js';

/** Compiled, or as it lies in lib/ when tests run the sources. */
const WORKER = new URL(
  import.meta.url.endsWith('.ts') ? './grammar-worker.ts' : './grammar-worker.js',
  import.meta.url,
);

/** For one request of the thread, milliseconds: its work is bounded (`grammar-server.ts`) to some 2,000 of a core, so that it hangs. */
const MOST_MS = 30_000;
/** To sort the vocabulary. */
const START_MS = 60_000;
/** So long is a grammar refused that was too much: each trial costs everybody the thread's time. */
const REFUSED_MS = 60_000;
const MOST_REFUSED = 64;

/** The schema takes more of the thread's time or memory than anybody may. */
export class GrammarTooComplex extends InvalidArgumentError {
  constructor() {
    super('FACELLM_INVALID_ARGUMENT', 'the schema cannot be held to', {
      details: [
        'schema: its patterns, lists and recursions have too many ways; make repetitions shorter, or alternatives fewer',
      ],
    });
  }
}

interface Pending {
  readonly asked: GrammarRequest;
  readonly owner: GrammarMatcher | undefined;
  readonly resolve: (words: Uint32Array) => void;
  readonly reject: (error: unknown) => void;
  isSecond: boolean;
}

export class GrammarThread {
  readonly #setup: () => GrammarSetup;
  readonly #mostMs: number;
  #worker: Worker | undefined;
  #isReady = false;
  /** In the order in which they are answered. */
  readonly #pending = new Map<number, Pending>();
  /** Whose tokens come. */
  readonly #open = new Set<number>();
  readonly #turns = new GrammarTurns(() => this.#open.size > 0);
  #count = 0;
  #matchers = 0;
  #timer: NodeJS.Timeout | undefined;
  #end: Error | undefined;
  /** Until when, by `keyOf`; the oldest first. */
  readonly #refused = new Map<string, number>();
  /** Of the worker: matchers of an earlier one are not there. */
  generation = 0;

  /**
   * @param setup asked whenever a thread is started
   * @param mostMs after which a request hangs
   */
  constructor(setup: () => GrammarSetup, mostMs: number = MOST_MS) {
    this.#setup = setup;
    this.#mostMs = mostMs;
  }

  /** @throws GrammarTooComplex; the signal's reason; what the client's bound refuses it with */
  async check(grammar: Grammar, asker: GrammarAsker = {}): Promise<void> {
    await this.ask({ kind: 'check', grammar, client: asker.client?.name }, undefined, asker);
  }

  /** Whether a text is wholly of it. @throws GrammarTooComplex; the signal's reason */
  async matches(grammar: Grammar, text: string, asker: GrammarAsker = {}): Promise<boolean> {
    const asked: GrammarRequest = { kind: 'match', grammar, text, client: asker.client?.name };
    const [isOf] = await this.ask(asked, undefined, asker);
    return isOf === 1;
  }

  /** @param begun text that stands there already */
  open(grammar: Grammar, begun: string, asker: GrammarAsker = {}): GrammarMatcher {
    return new GrammarMatcher(this, this.#matchers++, { grammar, begun, asker });
  }

  /** @internal */
  async ask(
    asked: GrammarRequest,
    owner: GrammarMatcher | undefined,
    asker: GrammarAsker,
  ): Promise<Uint32Array> {
    if (asked.kind === 'next') return this.#answer(asked, owner);
    // It needs no turn to be refused again.
    if (this.#isRefused(asked.grammar)) throw new GrammarTooComplex();
    return this.#turns.take(asked, asker, () => {
      // Ended while it waited: nobody would ever close what is opened now.
      if (owner?.isClosed === true) return Promise.reject(closed());
      if (asked.kind === 'open') this.#open.add(asked.matcher);
      return this.#answer(asked, owner);
    });
  }

  #answer(asked: GrammarRequest, owner: GrammarMatcher | undefined): Promise<Uint32Array> {
    if (this.#end !== undefined) return Promise.reject(this.#end);
    if (asked.kind !== 'next' && this.#isRefused(asked.grammar)) {
      return Promise.reject(new GrammarTooComplex());
    }
    return new Promise((resolve, reject) => {
      this.#send(this.#count++, { asked, owner, resolve, reject, isSecond: false });
    });
  }

  /** @internal */
  forget(matcher: number): void {
    this.#open.delete(matcher);
    const message: GrammarMessage = { closed: matcher };
    this.#worker?.postMessage(message);
  }

  async dispose(): Promise<void> {
    this.#end = createError('FACELLM_DISPOSED', 'the model was disposed');
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const { reject } of this.#pending.values()) reject(this.#end);
    this.#pending.clear();
    await this.#worker?.terminate();
  }

  #isRefused(grammar: Grammar): boolean {
    if (this.#refused.size === 0) return false;
    return (this.#refused.get(keyOf(grammar)) ?? 0) > performance.now();
  }

  #refuse({ asked, owner }: Pending): void {
    const whole = owner?.again() ?? asked;
    if (whole.kind === 'next') return;
    const key = keyOf(whole.grammar);
    this.#refused.delete(key);
    this.#refused.set(key, performance.now() + REFUSED_MS);
    const [oldest] = this.#refused.keys();
    if (this.#refused.size > MOST_REFUSED && oldest !== undefined) this.#refused.delete(oldest);
  }

  #send(request: number, pending: Pending): void {
    try {
      this.#worker ??= this.#start();
    } catch (error) {
      pending.reject(error);
      return;
    }
    this.#pending.set(request, pending);
    const message: GrammarMessage = { request, asked: pending.asked };
    this.#worker.postMessage(message);
    this.#worker.ref();
    if (this.#timer === undefined) this.#watch();
  }

  #start(): Worker {
    const worker = startWorker(WORKER, 'facellm-grammar', this.#setup());
    this.#isReady = false;
    worker.on('message', (reply: GrammarReply) => {
      if (this.#worker === worker) this.#take(reply);
    });
    const dies = (): void => {
      if (this.#worker === worker) this.#renew(false);
    };
    worker.on('error', dies);
    worker.on('exit', dies);
    worker.unref();
    return worker;
  }

  /** The oldest is the one that is worked at. */
  #watch(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#pending.size === 0) {
      this.#worker?.unref();
      return;
    }
    const ms = this.#isReady ? this.#mostMs : START_MS;
    // Where this process itself was held up, the reply may lie there unread: it is read first, and that sets another timer.
    const late = (): void => {
      if (this.#timer === timer) this.#renew(true);
    };
    const timer = setTimeout(() => setImmediate(late), ms);
    timer.unref();
    this.#timer = timer;
  }

  #take(reply: GrammarReply): void {
    if ('ready' in reply) {
      this.#isReady = true;
      this.#watch();
      return;
    }
    const pending = this.#pending.get(reply.request);
    this.#pending.delete(reply.request);
    this.#watch();
    if ('words' in reply) pending?.resolve(reply.words);
    else if (reply.isTooComplex) {
      if (pending !== undefined) this.#refuse(pending);
      pending?.reject(new GrammarTooComplex());
    } else pending?.reject(failure(reply.failed));
  }

  /** Another thread in place of this one. */
  #renew(isLate: boolean): void {
    const wasReady = this.#isReady;
    void this.#worker?.terminate();
    this.#worker = undefined;
    this.generation++;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const [[, culprit] = [], ...others] = this.#pending;
    this.#pending.clear();
    const again = others.map(([, pending]) => pending);
    if (culprit !== undefined) {
      if (isLate && wasReady) {
        this.#refuse(culprit);
        culprit.reject(new GrammarTooComplex());
      } else if (culprit.isSecond || !wasReady) {
        culprit.reject(failure(isLate ? 'it did not start' : 'its thread ended'));
      } else again.unshift({ ...culprit, isSecond: true });
    }
    for (const pending of again) {
      if (pending.owner?.isClosed === true) {
        pending.reject(closed());
        continue;
      }
      const asked = pending.owner?.again() ?? pending.asked;
      this.#send(this.#count++, { ...pending, asked });
    }
  }
}

const closed = (): Error =>
  createError('FACELLM_CANCELLED', 'the answer ended before its grammar was ready');

const failure = (why: string): Error =>
  createError('FACELLM_INTERNAL', `the grammar of an answer failed: ${why}`);
