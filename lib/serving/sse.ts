/**
 * Server-sent events on Node's own response. The engine never waits for a reader: what one does not take is kept up to a
 * bound, then the reader is cut off.
 */
import type { ServerResponse } from 'node:http';

import { ClientGone } from './api-error.js';

const MOST_BUFFERED = 2 ** 20;
const HEARTBEAT_MS = 10_000;

export interface SseOptions {
  readonly stallMs: number;
  /** Called when nobody reads any more. */
  readonly onGone: (reason: unknown) => void;
}

export class Sse {
  readonly #response: ServerResponse;
  readonly #options: SseOptions;
  readonly #timer: NodeJS.Timeout;
  #stalledSince: number | undefined;
  #beatAt = performance.now();
  /** What a comment says until there is something to tell. */
  #state: string | undefined = 'queued';

  constructor(
    response: ServerResponse,
    headers: Readonly<Record<string, string>>,
    options: SseOptions,
  ) {
    this.#response = response;
    this.#options = options;
    response.writeHead(200, {
      ...headers,
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
    response.flushHeaders();
    response.on('drain', () => (this.#stalledSince = undefined));
    this.#timer = setInterval(() => this.#tick(), Math.min(1000, options.stallMs));
    response.once('close', () => clearInterval(this.#timer));
  }

  working(): void {
    if (this.#state !== undefined) this.#state = 'working';
  }

  /** Nothing to tell for as long as it takes: comments keep the connection until there is. */
  idle(state: string): void {
    this.#state = state;
    this.#beatAt = performance.now();
  }

  /**
   * @param data JSON on one line, or `[DONE]`
   * @param id what a reader names as `Last-Event-ID` to go on from here
   */
  send(data: string, event?: string, id?: string): void {
    this.#state = undefined;
    const fields = `${id === undefined ? '' : `id: ${id}\n`}${event === undefined ? '' : `event: ${event}\n`}`;
    this.#write(`${fields}data: ${data}\n\n`);
  }

  /** Resolves once the reader has room again, or has gone. */
  async taken(): Promise<void> {
    const response = this.#response;
    if (!response.writableNeedDrain || response.destroyed) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        response.off('drain', done).off('close', done);
        resolve();
      };
      response.once('drain', done).once('close', done);
    });
  }

  end(): void {
    clearInterval(this.#timer);
    this.#response.end();
    // The last bytes may meet a reader that takes nothing, too.
    const cut = setTimeout(() => this.#response.destroy(), this.#options.stallMs);
    this.#response.once('close', () => clearTimeout(cut));
  }

  #write(text: string): void {
    if (this.#response.destroyed) return;
    if (!this.#response.write(text)) this.#stalledSince ??= performance.now();
    if (this.#response.writableLength > MOST_BUFFERED) this.#cut();
  }

  #tick(): void {
    const now = performance.now();
    if (this.#stalledSince !== undefined && now - this.#stalledSince > this.#options.stallMs) {
      this.#cut();
    } else if (this.#state !== undefined && now - this.#beatAt >= HEARTBEAT_MS) {
      this.#beatAt = now;
      this.#write(`: ${this.#state}\n\n`);
    }
  }

  #cut(): void {
    clearInterval(this.#timer);
    this.#options.onGone(new ClientGone('the reader of the stream takes nothing'));
    this.#response.destroy();
  }
}
