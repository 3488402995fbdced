/**
 * Masks of tokens by a grammar, from a thread of its own, which counts the work of each request and refuses who asks too much. Where
 * one takes far too long all the same, the thread is given up and another started: matchers go on there from what they have taken.
 */
import { createHash } from 'node:crypto';
import type { Worker } from 'node:worker_threads';

import { createError, InvalidArgumentError } from '../../errors.js';
import type { Grammar } from '../../structured/index.js';
import { startWorker } from '../../tokenizer/start-worker.js';
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

const keyOf = (grammar: Grammar): string =>
  createHash('sha256').update(JSON.stringify(grammar)).digest('base64');

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

  /** @throws GrammarTooComplex */
  async check(grammar: Grammar): Promise<void> {
    await this.ask({ kind: 'check', grammar }, undefined);
  }

  /** Whether a text is wholly of it. @throws GrammarTooComplex */
  async matches(grammar: Grammar, text: string): Promise<boolean> {
    const [isOf] = await this.ask({ kind: 'match', grammar, text }, undefined);
    return isOf === 1;
  }

  /** @param begun text that stands there already */
  open(grammar: Grammar, begun: string): GrammarMatcher {
    return new GrammarMatcher(this, this.#matchers++, grammar, begun);
  }

  /** @internal */
  ask(asked: GrammarRequest, owner: GrammarMatcher | undefined): Promise<Uint32Array> {
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
      const asked = pending.owner?.again() ?? pending.asked;
      this.#send(this.#count++, { ...pending, asked });
    }
  }
}

const failure = (why: string): Error =>
  createError('FACELLM_INTERNAL', `the grammar of an answer failed: ${why}`);

/** One answer's way through a grammar. */
export class GrammarMatcher {
  readonly #thread: GrammarThread;
  readonly #number: number;
  readonly #grammar: Grammar;
  readonly #begun: string;
  readonly #ids: number[] = [];
  #generation = -1;

  /** @internal */
  constructor(thread: GrammarThread, number: number, grammar: Grammar, begun: string) {
    this.#thread = thread;
    this.#number = number;
    this.#grammar = grammar;
    this.#begun = begun;
  }

  /**
   * The ids that may come next.
   *
   * @param id that has come since this was asked last; undefined: none yet
   */
  async mask(id?: number): Promise<Uint32Array> {
    if (id !== undefined) this.#ids.push(id);
    const isThere = id !== undefined && this.#generation === this.#thread.generation;
    const asked: GrammarRequest = isThere
      ? { kind: 'next', matcher: this.#number, id }
      : this.again();
    const words = await this.#thread.ask(asked, this);
    this.#generation = this.#thread.generation;
    return words;
  }

  /** @internal from the beginning, on a thread that does not know it */
  again(): GrammarRequest {
    const { length } = this.#ids;
    return {
      ...{ kind: 'open', matcher: this.#number, grammar: this.#grammar, begun: this.#begun },
      ids: this.#ids.slice(0, length),
    };
  }

  close(): void {
    this.#thread.forget(this.#number);
  }
}
