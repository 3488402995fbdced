/** A server on loopback around the golden checkpoint, and raw requests to it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { FaceLlm } from '../../lib/index.js';
import { type RunningServer, serve, type ServeOptions } from '../../lib/serving/index.js';
import * as golden from './golden.js';

export const CHECKPOINT = join(golden.GOLDEN, 'ckpt-300m');
const IMAGES = join(golden.GOLDEN, 'infer-300m', 'images');
export const PHOTO: Buffer = readFileSync(join(IMAGES, 'face_square_0.png'));
export const TILED: Buffer = readFileSync(join(IMAGES, 'face_tiled_0.png'));

export const dataUrl = (bytes: Uint8Array, type = 'png'): string =>
  `data:image/${type};base64,${Buffer.from(bytes).toString('base64')}`;

export function loadTiny(): Promise<FaceLlm> {
  return FaceLlm.load(CHECKPOINT, { device: golden.TEST_DEVICE, dtype: 'fp32', maxContext: 4096 });
}

export function serveTiny(
  model: FaceLlm,
  options: Partial<Omit<ServeOptions, 'model'>> = {},
): Promise<RunningServer> {
  return serve({ model, port: 0, servedName: 'tiny', ...options });
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly json: Readonly<Record<string, unknown>>;
}

export async function request(url: string, init: RequestInit = {}): Promise<Reply> {
  const response = await fetch(url, init);
  const text = await response.text();
  let json: Reply['json'] = {};
  try {
    json = JSON.parse(text) as Reply['json'];
  } catch {
    // Not every answer is JSON.
  }
  return { status: response.status, headers: response.headers, text, json };
}

export function post(
  server: RunningServer,
  path: string,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Reply> {
  return request(server.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
  });
}

/** A stream that has begun: its answer is under way, or has been, whatever the machine's speed. */
export async function postStream(
  server: RunningServer,
  path: string,
  body: object,
): Promise<{ readonly rest: () => Promise<string> }> {
  const response = await fetch(server.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...body, stream: true }),
  });
  const reader = (response.body as ReadableStream<Uint8Array>)
    .pipeThrough(new TextDecoderStream())
    .getReader();
  const { value: first = '' } = await reader.read();
  const rest = async (): Promise<string> => {
    let text = first;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return text;
      text += value;
    }
  };
  return { rest };
}

export const question = (text = 'Who is this?', photo: Uint8Array = PHOTO): object => ({
  role: 'user',
  content: [
    { type: 'image_url', image_url: { url: dataUrl(photo) } },
    { type: 'text', text },
  ],
});

export function errorOf({ json }: Reply): Readonly<Record<string, string | null>> {
  return json['error'] as Readonly<Record<string, string | null>>;
}

/** Events of a stream that has ended. */
export function eventsOf(text: string): readonly Readonly<Record<string, never>>[] {
  return text
    .split('\n\n')
    .filter((event) => event.startsWith('data: ') && event !== 'data: [DONE]')
    .map((event) => JSON.parse(event.slice(6)) as Readonly<Record<string, never>>);
}

/** Until it is so. It must be something that lasts: what comes and goes may do so between two looks. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 110_000;
  while (!(await isSo())) {
    if (performance.now() > end) throw new Error(`not so within 110 s: ${isSo.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
