/** Requests on Node's own client, many connections at a time; numbers that are the same in every run; questions of the tiny checkpoint. */
import { readFileSync } from 'node:fs';
import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { join } from 'node:path';

import { numbers } from '../serving/open-loop.js';
import { CHECKPOINT, ROOT } from './served.js';

export const CHAT = '/v1/chat/completions';
export const PHOTO: Buffer = readFileSync(join(ROOT, 'golden', 'face_square.png'));
export const dataUrl = (bytes: Uint8Array): string =>
  `data:image/png;base64,${Buffer.from(bytes).toString('base64')}`;
export const PHOTO_URL: string = dataUrl(PHOTO);
export { CHECKPOINT };

export const sleep = (ms: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, ms));

/** Whole numbers below a bound. */
export function draws(seed: number): (below: number) => number {
  const next = numbers(seed);
  return (below) => Math.floor(next() * below);
}

/** One of them. */
export function pick<T>(of: readonly T[], draw: (below: number) => number): T {
  const one = of[draw(of.length)];
  if (one === undefined) throw new RangeError('there is none to pick');
  return one;
}

/** @param more fields of a chat completion */
export const question = (text: string, more: object = {}, picture?: string): object => ({
  messages: [
    {
      role: 'user',
      content: [
        ...(picture === undefined ? [] : [{ type: 'image_url', image_url: { url: picture } }]),
        { type: 'text', text },
      ],
    },
  ],
  ...more,
});

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly ms: number;
}

export interface Sending {
  readonly agent?: Agent;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  /** Some of the answer has come. */
  readonly onData?: (() => void) | undefined;
  /** Then the promise rejects: the server hangs. @default 60 s */
  readonly timeoutMs?: number;
}

export const AGENT: Agent = new Agent({ keepAlive: true });

/** @param body of bytes, or what is written as JSON; undefined: none */
export function send(
  url: string,
  body?: object | Uint8Array,
  { agent = AGENT, method, headers, signal, onData, timeoutMs = 60_000 }: Sending = {},
): Promise<Reply> {
  const began = performance.now();
  const bytes =
    body === undefined || body instanceof Uint8Array ? body : Buffer.from(JSON.stringify(body));
  return new Promise((resolve, reject) => {
    const asked = request(url, {
      agent,
      method: method ?? (bytes === undefined ? 'GET' : 'POST'),
      headers: {
        ...(bytes === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': bytes.length }),
        ...headers,
      },
      ...(signal && { signal }),
    });
    const late = setTimeout(() => asked.destroy(new Error('no answer in time')), timeoutMs);
    const fail = (error: Error): void => {
      clearTimeout(late);
      reject(error);
    };
    asked.on('error', fail);
    asked.once('response', (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => {
        parts.push(part);
        onData?.();
      });
      response.on('error', fail);
      response.once('end', () => {
        clearTimeout(late);
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text: Buffer.concat(parts).toString(),
          ms: performance.now() - began,
        });
      });
    });
    asked.end(bytes);
  });
}

/** So many at a time, until all have been. */
export async function inTurns(
  count: number,
  atOnce: number,
  one: (index: number) => Promise<void>,
): Promise<void> {
  let begun = 0;
  await Promise.all(
    Array.from({ length: Math.min(atOnce, count) }, async () => {
      while (begun < count) await one(begun++);
    }),
  );
}

/** Whether a stream was told to its end, or that it failed. */
export function isEnded(text: string): boolean {
  if (text.endsWith('data: [DONE]\n\n')) return true;
  const last = text
    .split('\n\n')
    .filter((event) => event.startsWith('data: {'))
    .at(-1);
  try {
    return 'error' in (JSON.parse(last?.slice(6) ?? '{}') as object);
  } catch {
    return false;
  }
}

/** A number of `/metrics`, over all its labels. */
export async function metric(url: string, name: string): Promise<number> {
  const { text } = await send(`${url}/metrics`);
  return text
    .split('\n')
    .filter((line) => line.startsWith(`facellm:${name}{`) || line.startsWith(`facellm:${name} `))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}
