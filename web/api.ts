/** Calls to the server that this page came from, and to no other. */

export interface ApiFailure {
  readonly message: string;
  readonly code: string;
  readonly requestId: string;
}

export class ApiError extends Error {
  readonly failure: ApiFailure;

  constructor(failure: ApiFailure) {
    super(failure.message);
    this.failure = failure;
  }
}

/** Kept by the tab alone. */
let key = '';
export const setKey = (value: string): void => {
  key = value.trim();
};

function headers(): Record<string, string> {
  return {
    'content-type': 'application/json',
    ...(key !== '' && { authorization: `Bearer ${key}` }),
  };
}

async function checked(response: Response): Promise<Response> {
  if (response.ok) return response;
  const requestId = response.headers.get('x-request-id') ?? '';
  let told: { message?: string; code?: string } = {};
  try {
    told = ((await response.json()) as { error?: typeof told }).error ?? {};
  } catch {
    // A proxy's page.
  }
  const { message = `the server answered ${response.status}`, code = '' } = told;
  throw new ApiError({ message, code, requestId });
}

export async function get(path: string): Promise<Response> {
  return checked(await fetch(path, { headers: headers() }));
}

export async function post<T>(path: string, body: object, signal?: AbortSignal): Promise<T> {
  const request = { method: 'POST', headers: headers(), body: JSON.stringify(body) };
  return (await (
    await checked(await fetch(path, { ...request, signal: signal ?? null }))
  ).json()) as T;
}

export async function remove(path: string): Promise<void> {
  await checked(await fetch(path, { method: 'DELETE', headers: headers() }));
}

/** @param part of what is asked of it, such as events */
export const runAddress = (id: string, part: string): string =>
  `/v1/runs/${id.split('/').map(encodeURIComponent).join('/')}/${part}`;

interface ServerEvent<T> {
  /** Where the stream goes on after it. */
  readonly id: string;
  readonly name: string;
  readonly value: T;
}

async function* eventsOf<T>(path: string, init: RequestInit): AsyncGenerator<ServerEvent<T>> {
  const response = await checked(await fetch(path, init));
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const next = await reader?.read();
    if (next === undefined || next.done) return;
    const events = (text + next.value).split('\n\n');
    text = events.pop() ?? '';
    for (const event of events) {
      const fields = event.split('\n');
      const field = (name: string): string =>
        fields.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2) ?? '';
      const data = field('data');
      if (data === '' || data === '[DONE]') continue;
      const value = JSON.parse(data) as T & { error?: ApiFailure };
      if (value.error) throw new ApiError({ ...value.error, requestId: '' });
      yield { id: field('id'), name: field('event'), value };
    }
  }
}

/** Events of an answer as they come. */
export async function* stream<T>(
  path: string,
  body: object,
  signal: AbortSignal,
): AsyncGenerator<T> {
  const request = { method: 'POST', headers: headers(), body: JSON.stringify(body), signal };
  for await (const { value } of eventsOf<T>(path, request)) yield value as Awaited<T>;
}

/** Events of something that goes on, from behind the one with the id `last`. */
export function follow<T>(
  path: string,
  last: string,
  signal: AbortSignal,
): AsyncGenerator<ServerEvent<T>> {
  const from = last === '' ? {} : { 'last-event-id': last };
  return eventsOf<T>(path, { headers: { ...headers(), ...from }, signal });
}

export interface Planned {
  readonly width: number;
  readonly height: number;
  readonly tiles: number;
  readonly thumbnail: boolean;
  readonly boxes: readonly (readonly [number, number, number, number])[];
  readonly prompt_tokens: number;
}

export interface Choice {
  readonly text: string;
  readonly logprob: number;
  readonly probability: number;
}

export interface Field {
  readonly path: string;
  readonly value: unknown;
  readonly probability: number;
  readonly logprob: number;
  readonly mass: number;
  readonly alternatives: readonly Omit<Field, 'path' | 'mass' | 'alternatives'>[];
  readonly mean?: number;
  readonly median?: number;
}
