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

/** Until it is so, or the test's own time is over. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 10));
}
