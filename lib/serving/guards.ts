/** Who may talk to the server at all: by which name it was called, and from which page. */
import { isIP } from 'node:net';

import { ApiError } from './api-error.js';

const LOOPBACK = ['localhost', '127.0.0.1', '::1'];

/** The host of `name:port`, `[v6]:port`; undefined for what is none. */
function hostOf(header: string): string | undefined {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/i.exec(header.trim());
  return (match?.[1] ?? match?.[2])?.toLowerCase();
}

export class Guards {
  readonly #hosts: ReadonlySet<string>;
  readonly #origins: ReadonlySet<string>;

  constructor(bound: string, allowed: readonly string[], origins: readonly string[]) {
    this.#hosts = new Set([...LOOPBACK, bound, ...allowed].map((host) => host.toLowerCase()));
    this.#origins = new Set(origins);
  }

  /**
   * A page whose name is made to resolve to this machine calls the server by that name: DNS rebinding.
   *
   * @param local the address that the connection came in on
   * @throws ApiError 403 host_not_allowed
   */
  checkHost(header: string | undefined, local: string | undefined): void {
    const host = hostOf(header ?? '');
    if (host !== undefined && this.#hosts.has(host)) return;
    // Its own address cannot be rebound; a probe of an orchestrator calls it by that.
    const own = local?.replace(/^::ffff:/, '');
    if (host !== undefined && isIP(host) !== 0 && host === own) return;
    throw new ApiError(403, 'host_not_allowed', 'the server is not called so; see --allow-host');
  }

  /**
   * @returns the origin to name in the answer, for pages that may call
   * @throws ApiError 403 origin_not_allowed for a page of elsewhere that sends something
   */
  checkOrigin(
    origin: string | undefined,
    host: string | undefined,
    method: string,
  ): string | undefined {
    if (origin === undefined) return undefined;
    if (this.#origins.has(origin)) return origin;
    const isOwn = origin === `http://${host ?? ''}` || origin === `https://${host ?? ''}`;
    if (isOwn || method === 'GET' || method === 'HEAD') return undefined;
    throw new ApiError(
      403,
      'origin_not_allowed',
      'pages of this origin may not ask; see --cors-origin',
    );
  }
}
