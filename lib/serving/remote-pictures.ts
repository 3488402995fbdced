/**
 * Pictures by address, from hosts that the server was started with. A name is resolved once, every address of it must be public, and the
 * connection goes to that very address with the name kept for TLS; redirects go through all of it again. Whatever goes wrong looks the
 * same from outside: a request must not learn what there is behind the server.
 */
import { Resolver } from 'node:dns/promises';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { isIP } from 'node:net';

import { isPublicAddress } from './public-address.js';

export interface RemoteOptions {
  /** Exact names, in lower case; `any`: of the public internet. */
  readonly hosts: ReadonlySet<string> | 'any';
  /** Of a file. */
  readonly mostBytes: number;
  /** All of a picture, milliseconds. @default 10,000 */
  readonly wholeMs?: number;
  /** For tests. @default the system's */
  readonly resolve?: (name: string, signal: AbortSignal) => Promise<readonly string[]>;
  readonly connect?: Connect;
}

/** Asks for a path of a host at an address. */
export type Connect = (target: {
  readonly address: string;
  readonly url: URL;
  readonly signal: AbortSignal;
}) => Promise<IncomingMessage>;

const RESOLVE_MS = 2000;
const CONNECT_MS = 3000;
const WHOLE_MS = 10_000;
const MOST_REDIRECTS = 3;

/** Nothing of why: it could not be had. */
export class NotFetched extends Error {}

/**
 * The name servers are asked, not the system's `getaddrinfo`: that cannot be stopped, and a few names that nobody answers for would
 * keep the threads busy that read files, too.
 *
 * @param signal ends it
 */
export async function addressesOf(
  name: string,
  signal: AbortSignal,
  servers?: readonly string[],
): Promise<readonly string[]> {
  if (isIP(name) > 0) return [name];
  const resolver = new Resolver({ timeout: RESOLVE_MS, tries: 2 });
  if (servers !== undefined) resolver.setServers(servers);
  const stop = (): void => resolver.cancel();
  signal.addEventListener('abort', stop, { once: true });
  try {
    const found = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
    return found.flatMap((one) => (one.status === 'fulfilled' ? one.value : []));
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** What a request is answered with; a connection that becomes another protocol is no answer. */
export function answerOf(asked: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    asked.once('response', resolve);
    asked.once('upgrade', (_, socket) => socket.destroy());
    asked.once('error', reject);
    // However it ends: nothing after this would settle it.
    asked.once('close', () => reject(new NotFetched()));
  });
}

const connectTls: Connect = ({ address, url, signal }) => {
  const asked = request({
    ...{ host: address, port: 443, servername: url.hostname, path: url.pathname + url.search },
    // No agent: nothing is kept, and no proxy of the environment is asked.
    ...{ agent: false, signal, method: 'GET', timeout: CONNECT_MS },
    headers: { host: url.host, accept: 'image/*', 'accept-encoding': 'identity' },
  });
  asked.once('timeout', () => asked.destroy(new NotFetched()));
  asked.once('socket', (socket) => socket.once('secureConnect', () => asked.setTimeout(0)));
  asked.end();
  return answerOf(asked);
};

export class RemotePictures {
  readonly #options: RemoteOptions;

  constructor(options: RemoteOptions) {
    this.#options = options;
  }

  get mostBytes(): number {
    return this.#options.mostBytes;
  }

  /** Whether such an address may be asked for at all: https, its usual port, a host of the list, no user. */
  allows(text: string): boolean {
    if (!URL.canParse(text) || text.length > 2048) return false;
    const { protocol, port, username, password, hostname } = new URL(text);
    if (protocol !== 'https:' || port !== '' || username !== '' || password !== '') return false;
    const { hosts } = this.#options;
    return hosts === 'any' || hosts.has(hostname);
  }

  /**
   * @param signal ends it
   * @throws NotFetched; the signal's reason
   */
  async fetch(text: string, signal: AbortSignal): Promise<Uint8Array> {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(this.#options.wholeMs ?? WHOLE_MS)]);
    try {
      return await this.#follow(text, limit);
    } catch {
      signal.throwIfAborted();
      throw new NotFetched();
    }
  }

  async #follow(first: string, signal: AbortSignal): Promise<Uint8Array> {
    let text = first;
    for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
      const response = await this.#ask(text, signal);
      try {
        const { statusCode = 0, headers } = response;
        if ([301, 302, 303, 307, 308].includes(statusCode) && headers.location !== undefined) {
          text = new URL(headers.location, text).href;
          continue;
        }
        if (statusCode !== 200) throw new NotFetched();
        return await this.#read(response);
      } finally {
        response.destroy();
      }
    }
    throw new NotFetched();
  }

  async #ask(text: string, signal: AbortSignal): Promise<IncomingMessage> {
    if (!this.allows(text)) throw new NotFetched();
    const url = new URL(text);
    const { resolve = addressesOf, connect = connectTls } = this.#options;
    const name = url.hostname.replace(/^\[|\]$/g, '');
    const addresses = await within(resolve(name, signal), signal);
    const [address] = addresses;
    if (address === undefined || !addresses.every(isPublicAddress)) throw new NotFetched();
    return within(connect({ address, url, signal }), signal);
  }

  async #read(response: IncomingMessage): Promise<Uint8Array> {
    const { mostBytes } = this.#options;
    const { 'content-encoding': encoding = 'identity', 'content-length': length } =
      response.headers;
    if (encoding !== 'identity' || Number(length ?? 0) > mostBytes) throw new NotFetched();
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of response as AsyncIterable<Uint8Array>) {
      size += chunk.length;
      if (size > mostBytes) throw new NotFetched();
      chunks.push(chunk);
    }
    if (!response.complete || size === 0) throw new NotFetched();
    return Uint8Array.from(Buffer.concat(chunks));
  }
}

/** Whether or not the work itself can be stopped, it is not waited for. */
function within<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
