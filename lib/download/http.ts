/**
 * Getting over HTTP: proxies by the usual variables, redirects followed here, so that the token goes to the hub alone
 * and never to the host that it sends us on to.
 */
import type { Readable } from 'node:stream';

import type * as Undici from 'undici';

import { createError } from '../errors.js';
import { loadDownloadPackages } from '../packages/download.js';
import { packageVersion } from '../packages/version.js';
import type { Token } from './environment.js';
import { networkFailure, Transient } from './retry.js';

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Readable & { dump(): Promise<void> };
  /** After redirects. */
  readonly url: URL;
}

export interface HttpOptions {
  readonly env: NodeJS.ProcessEnv;
  /** Sent to `origin` and to nobody else. */
  readonly token?: Token | undefined;
  readonly origin?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** How long nothing may come; `HF_HUB_DOWNLOAD_TIMEOUT` as in Python. */
const DEFAULT_TIMEOUT_SECONDS = 30;
const MOST_REDIRECTS = 10;

export function firstHeader({ headers }: HttpAnswer, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : value?.[0];
}

type Connection = Pick<typeof Undici, 'request'> & { readonly dispatcher: Undici.Dispatcher };

/** undici also needs WebAssembly, which `node --jitless` has not. */
async function connect(env: NodeJS.ProcessEnv): Promise<Connection> {
  const { EnvHttpProxyAgent, request } = (await loadDownloadPackages()).undici;
  const timeout = 1000 * (Number(env['HF_HUB_DOWNLOAD_TIMEOUT']) || DEFAULT_TIMEOUT_SECONDS);
  try {
    const dispatcher = new EnvHttpProxyAgent({
      // An empty text is no proxy: what this process's own environment says must not come in beside `env`.
      httpProxy: env['http_proxy'] ?? env['HTTP_PROXY'] ?? '',
      httpsProxy: env['https_proxy'] ?? env['HTTPS_PROXY'] ?? '',
      noProxy: env['no_proxy'] ?? env['NO_PROXY'] ?? '',
      connect: { timeout },
      headersTimeout: timeout,
      bodyTimeout: timeout,
    });
    return { request, dispatcher };
  } catch (cause) {
    throw createError(
      'FACELLM_INVALID_ARGUMENT',
      'HTTPS_PROXY or HTTP_PROXY is not the address of a proxy, such as http://proxy:3128',
      { cause },
    );
  }
}

export class HttpClient {
  readonly token: Token | undefined;
  readonly #origin: string | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #env: NodeJS.ProcessEnv;
  #connection: Promise<Connection> | undefined;
  readonly #userAgent = `facellm/${packageVersion()}; node/${process.versions.node}`;

  constructor({ env, token, origin, signal }: HttpOptions) {
    this.token = token;
    this.#origin = origin === undefined ? undefined : new URL(origin).origin;
    this.#signal = signal;
    this.#env = env;
  }

  /**
   * The answer, whatever its status, after redirects.
   *
   * @throws Transient where there is none, FACELLM_DOWNLOAD_FAILED where trying again is no use
   */
  async get(
    address: string,
    headers: Readonly<Record<string, string>> = {},
    signal: AbortSignal | undefined = this.#signal,
  ): Promise<HttpAnswer> {
    let url = new URL(address);
    for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
      const answer = await this.#once(url, headers, signal);
      const location = firstHeader(answer, 'location');
      if (!/^30[12378]$/.test(String(answer.status)) || location === undefined) return answer;
      await answer.body.dump();
      url = redirected(url, location);
    }
    throw new Transient(`${new URL(address).host} redirects in a circle`);
  }

  async #once(
    url: URL,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal | undefined,
  ): Promise<HttpAnswer> {
    const authorization =
      this.token !== undefined && url.origin === this.#origin
        ? { authorization: `Bearer ${this.token.value}` }
        : {};
    const { request, dispatcher } = await (this.#connection ??= connect(this.#env));
    try {
      const {
        statusCode,
        headers: answered,
        body,
      } = await request(url, {
        dispatcher,
        ...(signal === undefined ? {} : { signal }),
        // Bytes as they are: a compressed form has another length, and no ranges of the file.
        headers: {
          'user-agent': this.#userAgent,
          'accept-encoding': 'identity',
          ...headers,
          ...authorization,
        },
      });
      return { status: statusCode, headers: answered, body, url };
    } catch (cause) {
      signal?.throwIfAborted();
      throw networkFailure(cause, url.host);
    }
  }

  async close(): Promise<void> {
    const connection = await this.#connection?.catch(() => undefined);
    await connection?.dispatcher.destroy();
  }
}

function redirected(from: URL, location: string): URL {
  const url = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  const isSafe =
    url?.protocol === 'https:' || (url?.protocol === 'http:' && from.protocol === 'http:');
  if (url !== undefined && isSafe) return url;
  throw createError(
    'FACELLM_DOWNLOAD_FAILED',
    `${from.host} redirects to an address that is not taken: ${JSON.stringify(location.slice(0, 200))}`,
  );
}
