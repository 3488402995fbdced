/** Parses bodies, large ones in a thread that is started with the first of them. */
import type { Worker } from 'node:worker_threads';

import { startWorker } from '../tokenizer/start-worker.js';
import { ApiError } from './api-error.js';
import { type BodyKind, type BodyResult, parseBody, type ParsedBody } from './parse-body.js';

/** Compiled, or as it lies in lib/ when tests run the sources. */
const WORKER = new URL(
  import.meta.url.endsWith('.ts') ? './parse-worker.ts' : './parse-worker.js',
  import.meta.url,
);

/** Parsed in a millisecond or two. */
const SMALL = 256 * 1024;

interface Waiter {
  resolve(result: BodyResult): void;
  reject(error: unknown): void;
}

export class BodyParser {
  #worker: Worker | undefined;
  readonly #waiting = new Map<number, Waiter>();
  #count = 0;

  /**
   * @param bytes nobody else's: they may be handed to another thread
   * @throws ApiError 400
   */
  async parse(bytes: Uint8Array, kind: BodyKind = 'usual'): Promise<ParsedBody> {
    const result =
      bytes.length <= SMALL ? parseBody(bytes, kind) : await this.#parseFar(bytes, kind);
    if ('body' in result) return result;
    throw new ApiError(
      400,
      'invalid_value',
      `the body is ${result.problem}; expected a JSON object`,
    );
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
  }

  #parseFar(bytes: Uint8Array, kind: BodyKind): Promise<BodyResult> {
    const worker = (this.#worker ??= this.#start());
    const id = this.#count++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      worker.postMessage({ id, bytes, kind }, [bytes.buffer as ArrayBuffer]);
    });
  }

  #start(): Worker {
    const worker = startWorker(WORKER, 'facellm-bodies', undefined);
    worker.on('message', ({ id, result }: { id: number; result: BodyResult }) => {
      this.#waiting.get(id)?.resolve(result);
      this.#waiting.delete(id);
    });
    const fail = (error: unknown): void => {
      if (this.#worker === worker) this.#worker = undefined;
      for (const waiter of this.#waiting.values()) waiter.reject(error);
      this.#waiting.clear();
    };
    worker.on('error', fail);
    worker.on('exit', () => fail(new Error('the thread that parses bodies has ended')));
    worker.unref();
    return worker;
  }
}
