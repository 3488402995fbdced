/**
 * A hub on loopback, with a store on another origin that large files are redirected to, as the real one has. It can
 * misbehave in every way that tests need, and remembers what it was asked and by whom.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface HubFile {
  readonly path: string;
  readonly bytes: Buffer;
  /** Named by sha256 and served by the store. */
  readonly isLarge?: boolean;
}

export interface Seen {
  readonly host: 'hub' | 'store';
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
  /** Requests for this path so far, this one included. */
  readonly count: number;
}

export type Fault =
  | { readonly kind: 'status'; readonly status: number; readonly headers?: Record<string, string> }
  /** Ends the connection after so many bytes of the body. */
  | { readonly kind: 'cut'; readonly after: number }
  /** Answers whole whatever range is asked for; cut if told so. */
  | { readonly kind: 'no-ranges'; readonly after?: number }
  | {
      readonly kind: 'wrong-bytes' | 'wrong-range' | 'too-long' | 'wrong-length' | 'stall' | 'hang';
    };

export const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
export const gitBlob = (bytes: Buffer): string =>
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
export const md5 = (bytes: Buffer): string => createHash('md5').update(bytes).digest('hex');

/** Bytes that no two places of have in common. */
export function pattern(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed * 2654435761;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

export class HubServer {
  readonly seen: Seen[] = [];
  /** Decides what goes wrong; undefined: nothing. */
  fault: (seen: Seen) => Fault | undefined = () => undefined;
  /** Told as bytes of files go out. */
  onBytes: (total: number) => void = () => undefined;
  bytesSent = 0;
  commit = 'a'.repeat(40);
  id = 'org/model';
  files: readonly HubFile[] = [];
  /** In place of what the tree would list. */
  tree: readonly object[] | undefined;
  /** Pieces of a body, with a pause between them. */
  pieceBytes = 16 * 1024;
  /** Texts by path, for what is no hub. */
  readonly texts = new Map<string, string>();
  /** Bodies of files wait for it. */
  hold: Promise<void> = Promise.resolve();
  /** Files by path, likewise. */
  readonly served = new Map<string, Buffer>();
  readonly #hub: Server;
  readonly #store: Server;

  private constructor() {
    this.#hub = createServer((request, response) => void this.#answer('hub', request, response));
    this.#store = createServer(
      (request, response) => void this.#answer('store', request, response),
    );
  }

  static async start(files: readonly HubFile[] = []): Promise<HubServer> {
    const server = new HubServer();
    server.files = files;
    for (const one of [server.#hub, server.#store]) {
      await new Promise<void>((resolve) => one.listen(0, '127.0.0.1', resolve));
    }
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#hub.address() as AddressInfo).port}`;
  }

  get storeUrl(): string {
    return `http://localhost:${(this.#store.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    for (const server of [this.#hub, this.#store]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  filesAsked(): Seen[] {
    return this.seen.filter(({ path }) => !path.startsWith('/api/'));
  }

  async #answer(
    host: 'hub' | 'store',
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const path = decodeURIComponent((request.url ?? '').split('?')[0] ?? '');
    const { range, authorization } = request.headers;
    const count = this.seen.filter((one) => one.path === path && one.host === host).length + 1;
    const seen = { host, path, range, authorization, count };
    this.seen.push(seen);
    const fault = this.fault(seen);
    if (fault?.kind === 'status') {
      response.writeHead(fault.status, fault.headers);
      response.end('no');
      return;
    }
    if (fault?.kind === 'hang') return;
    const text = this.texts.get(path) ?? this.#listing(path);
    if (text !== undefined) {
      response.setHeader('content-type', 'application/json');
      response.end(text);
      return;
    }
    const served = this.served.get(path);
    if (served !== undefined) {
      await this.#send(served, seen, fault, response);
      return;
    }
    const file = this.files.find((one) =>
      [`/resolve/${this.commit}/${one.path}`, `/store/${one.path}`].some((end) =>
        path.endsWith(end),
      ),
    );
    if (file === undefined) {
      response.writeHead(404, { 'x-error-code': 'EntryNotFound' });
      response.end();
      return;
    }
    if (host === 'hub' && file.isLarge === true) {
      const location = `${this.storeUrl}/store/${encodeURI(file.path)}?signature=secret`;
      response.writeHead(302, {
        ...{ location, 'x-repo-commit': this.commit, 'x-linked-size': file.bytes.length },
        'x-linked-etag': `"${sha256(file.bytes)}"`,
      });
      response.end();
      return;
    }
    response.setHeader('etag', `"${gitBlob(file.bytes)}"`);
    response.setHeader('x-repo-commit', this.commit);
    await this.#send(file.bytes, seen, fault, response);
  }

  #listing(path: string): string | undefined {
    const type = path.startsWith('/api/datasets/') ? 'datasets' : 'models';
    const api = `/api/${type}/${this.id}`;
    if (path.startsWith(`${api}/revision/`)) {
      const tags = ['face', 'license:mit'];
      const lastModified = '2025-07-22T00:00:00.000Z';
      return JSON.stringify({ _id: '1', id: this.id, sha: this.commit, tags, lastModified });
    }
    if (path !== `${api}/tree/${this.commit}`) return undefined;
    const entries = this.files.map(({ path: name, bytes, isLarge }) => ({
      ...{ type: 'file', path: name, size: bytes.length, oid: gitBlob(bytes) },
      ...(isLarge ? { lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 130 } } : {}),
    }));
    return JSON.stringify(
      this.tree ?? [{ type: 'directory', path: 'd', size: 0, oid: 'f'.repeat(40) }, ...entries],
    );
  }

  async #send(
    bytes: Buffer,
    { range }: Seen,
    fault: Fault | undefined,
    response: ServerResponse,
  ): Promise<void> {
    const asked = /^bytes=(\d+)-$/.exec(range ?? '')?.[1];
    const from = asked === undefined || fault?.kind === 'no-ranges' ? 0 : Number(asked);
    if (from >= bytes.length && asked !== undefined) {
      response.writeHead(416, { 'content-range': `bytes */${bytes.length}` });
      response.end();
      return;
    }
    let body = bytes.subarray(from);
    if (fault?.kind === 'wrong-bytes') body = Buffer.from(body.map((byte) => byte ^ 1));
    if (fault?.kind === 'too-long') body = Buffer.concat([body, Buffer.from('more')]);
    const shift = fault?.kind === 'wrong-range' ? 1 : 0;
    const length = body.length + (fault?.kind === 'wrong-length' ? 1 : 0);
    const isPart = asked !== undefined && fault?.kind !== 'no-ranges';
    const contentRange = `bytes ${from + shift}-${bytes.length - 1}/${bytes.length}`;
    response.writeHead(isPart ? 206 : 200, {
      ...(fault?.kind === 'too-long' ? {} : { 'content-length': length }),
      ...(isPart ? { 'content-range': contentRange } : {}),
    });
    const after = fault?.kind === 'cut' || fault?.kind === 'no-ranges' ? fault.after : undefined;
    await this.hold;
    const most = fault?.kind === 'stall' ? 1 : (after ?? body.length);
    for (let at = 0; at < Math.min(most, body.length); at += this.pieceBytes) {
      const piece = body.subarray(at, Math.min(at + this.pieceBytes, most));
      if (response.destroyed) return;
      await new Promise<void>((resolve) => response.write(piece, () => resolve()));
      this.bytesSent += piece.length;
      this.onBytes(this.bytesSent);
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (fault?.kind === 'stall') return;
    if (after !== undefined && after < body.length) response.destroy();
    else response.end();
  }
}
