/** The page: a few files of the package, read once; no path of a request is ever opened. */
import { readFile } from 'node:fs/promises';

import { ApiError } from './api-error.js';
import type { Exchange, Reply } from './exchange.js';

/** Built by scripts/build-page.mjs, beside the compiled sources. */
const FOLDER = new URL(
  import.meta.url.endsWith('.ts') ? '../../dist/serving/page/' : './page/',
  import.meta.url,
);

const FILES: Readonly<Record<string, readonly [file: string, type: string]>> = {
  '/': ['index.html', 'text/html'],
  '/assets/app.js': ['app.js', 'text/javascript'],
  '/assets/app.css': ['app.css', 'text/css'],
  '/assets/fairness.txt': ['fairness.txt', 'text/plain'],
};

export const PAGE_PATHS: readonly string[] = Object.keys(FILES);

/** Everything from here, nothing from elsewhere; in nobody's frame. */
const POLICY =
  "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

const read = new Map<string, Promise<Buffer>>();

export async function pageRoute({ incoming, outgoing, headers }: Exchange): Promise<Reply> {
  const path = (incoming.url ?? '').split('?', 1)[0] ?? '';
  const [file = '', type = ''] = FILES[path] ?? [];
  let bytes: Buffer;
  try {
    const reading = read.get(file) ?? readFile(new URL(file, FOLDER));
    read.set(file, reading);
    bytes = await reading;
  } catch {
    read.delete(file);
    const message =
      'the page is not part of this installation; node scripts/build-page.mjs builds it';
    throw new ApiError(404, 'unsupported_endpoint', message);
  }
  outgoing.writeHead(200, {
    ...headers,
    'content-security-policy': POLICY,
    'content-type': `${type}; charset=utf-8`,
    'content-length': String(bytes.length),
  });
  outgoing.end(bytes);
  return undefined;
}
