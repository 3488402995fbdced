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

/** Events of a stream as they come. */
export async function* stream<T>(
  path: string,
  body: object,
  signal: AbortSignal,
): AsyncGenerator<T> {
  const request = { method: 'POST', headers: headers(), body: JSON.stringify(body), signal };
  const response = await checked(await fetch(path, request));
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const next = await reader?.read();
    if (next === undefined || next.done) return;
    const events = (text + next.value).split('\n\n');
    text = events.pop() ?? '';
    for (const event of events) {
      if (!event.startsWith('data: ') || event === 'data: [DONE]') continue;
      const value = JSON.parse(event.slice(6)) as T & { error?: ApiFailure };
      if (value.error) throw new ApiError({ ...value.error, requestId: '' });
      yield value as Awaited<T>;
    }
  }
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
