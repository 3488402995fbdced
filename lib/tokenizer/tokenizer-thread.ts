/**
 * A {@link Tokenizer} in a thread of its own: reading Qwen2's 150,000 entries takes about 0.4 s, and a
 * long prompt some milliseconds, which the event loop is spared.
 */
import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';

import { createError, FaceLlmError } from '../errors.js';
import type { Detokenizer } from './detokenizer.js';
import { startWorker } from './start-worker.js';
import type { EncodeRequest, Failure, Ready, ThreadMessage } from './thread-messages.js';
import { type DecodeOptions, TokenTable } from './token-table.js';
import type { TextCoder, TextSegment } from './tokenizer.js';

interface Waiter {
  resolve(ids: readonly number[]): void;
  reject(error: unknown): void;
}

/** Compiled, or as it lies in lib/ when tests run the sources. */
const WORKER = new URL(
  import.meta.url.endsWith('.ts') ? './thread-worker.ts' : './thread-worker.js',
  import.meta.url,
);

const toError = ({ code, message, details }: Failure): Error =>
  createError(code, message, { details });

export class TokenizerThread implements TextCoder, AsyncDisposable {
  readonly controlTokens: ReadonlyMap<string, number>;
  readonly #table: TokenTable;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiter>();
  #requests = 0;
  #end: Error | undefined;

  private constructor(worker: Worker, ready: Ready) {
    this.#worker = worker;
    this.controlTokens = new Map(ready.controlTokens);
    this.#table = new TokenTable(ready);
    worker.on('message', (message: ThreadMessage) => this.#answer(message));
    worker.on('error', (error) => this.#stop(threadDied(error)));
    worker.on('exit', () => this.#stop(threadDied(undefined)));
  }

  /** @throws CheckpointError FACELLM_TOKENIZER_INVALID, InternalError where no thread may start */
  static async load(directory: string): Promise<TokenizerThread> {
    const worker = start(directory);
    try {
      const first = await firstMessage(worker);
      if (first.kind !== 'ready')
        throw first.kind === 'failed' ? toError(first) : threadDied(first);
      const thread = new TokenizerThread(worker, first);
      // A process with nothing else to do may end. After the thread listens, which takes a reference.
      worker.unref();
      return thread;
    } catch (error) {
      void worker.terminate();
      throw error;
    }
  }

  get vocabSize(): number {
    return this.#table.vocabSize;
  }

  /** Undefined for an id without an entry. */
  tokenBytes(id: number): Uint8Array | undefined {
    return this.#table.bytesOf(id);
  }

  detokenizer(options: DecodeOptions = {}): Detokenizer {
    return this.#table.detokenizer(options);
  }

  /** Ids of joined stretches; those of several calls come in the order of the calls. */
  encodeSegments(segments: readonly TextSegment[]): Promise<readonly number[]> {
    if (segments.length === 0) return Promise.resolve([]);
    if (this.#end !== undefined) return Promise.reject(this.#end);
    return new Promise((resolve, reject) => {
      const request = this.#requests++;
      this.#waiting.set(request, { resolve, reject });
      this.#worker.ref();
      const message: EncodeRequest = { request, segments };
      this.#worker.postMessage(message);
    });
  }

  /** Ends the thread. What is under way is rejected with FACELLM_DISPOSED. */
  async dispose(): Promise<void> {
    this.#stop(createError('FACELLM_DISPOSED', 'the model was disposed'));
    await this.#worker.terminate();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  #answer(message: ThreadMessage): void {
    if (message.kind === 'ready' || message.request === undefined) return;
    const waiter = this.#waiting.get(message.request);
    this.#waiting.delete(message.request);
    if (this.#waiting.size === 0) this.#worker.unref();
    if (message.kind === 'encoded') waiter?.resolve([...message.ids]);
    else waiter?.reject(toError(message));
  }

  #stop(error: Error): void {
    this.#end ??= error;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const waiter of waiting) waiter.reject(this.#end);
  }
}

function start(directory: string): Worker {
  try {
    return startWorker(WORKER, 'facellm-tokenizer', directory);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw createError('FACELLM_INTERNAL', `the tokenizer's thread cannot start: ${reason}`, {
      cause,
    });
  }
}

/** What the thread says first, or why it ended before. */
async function firstMessage(worker: Worker): Promise<ThreadMessage> {
  const listening = new AbortController();
  const { signal } = listening;
  const ended = once(worker, 'exit', { signal }).then(() => {
    throw threadDied(undefined);
  });
  try {
    const [message] = (await Promise.race([once(worker, 'message', { signal }), ended])) as [
      ThreadMessage,
    ];
    return message;
  } catch (error) {
    throw error instanceof FaceLlmError ? error : threadDied(error);
  } finally {
    ended.catch(() => undefined);
    listening.abort();
  }
}

function threadDied(cause: unknown): Error {
  return createError(
    'FACELLM_INTERNAL',
    'the tokenizer thread ended unexpectedly; load the model again, and please report this',
    { cause },
  );
}
