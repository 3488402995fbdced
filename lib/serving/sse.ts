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

  /** @param data JSON on one line, or `[DONE]` */
  send(data: string, event?: string): void {
    this.#state = undefined;
    this.#write(`${event === undefined ? '' : `event: ${event}\n`}data: ${data}\n\n`);
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
