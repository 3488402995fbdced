/** What the load client asks, by the names of its rows. */
import type { Attempt, Served } from './open-loop.js';

export interface Question {
  readonly path: string;
  readonly body: object;
}

export interface Pictures {
  /** Data URLs of one tile each. */
  readonly small: readonly string[];
  /** One of many tiles. */
  readonly large: string;
}

const image = (url: string): object => ({ type: 'image_url', image_url: { url } });
const chat = (url: string, text: string, tokens: number, more: object = {}): Question => ({
  path: '/v1/chat/completions',
  body: {
    messages: [{ role: 'user', content: [image(url), { type: 'text', text }] }],
    ...{ max_tokens: tokens, min_tokens: tokens, stream: true },
    stream_options: { include_usage: true },
    ...more,
  },
});

const SCHEMA = {
  type: 'object',
  properties: {
    smiling: { type: 'boolean' },
    age: { enum: ['0-9', '10-19', '20-29', '30-39', '40-49', '50-59', '60 or more'] },
    hair: { enum: ['black', 'brown', 'blond', 'red', 'grey', 'none'] },
  },
  required: ['smiling', 'age', 'hair'],
};

/**
 * Rows: how question number `i` reads.
 *
 * @param adapters models that the rows of adapters ask, the first of them alone or several in turn
 */
export function rowsOf(
  { small, large }: Pictures,
  tokens: number,
  adapters: readonly string[],
): Readonly<Record<string, (i: number) => Question>> {
  const face = (i: number): string => small[i % small.length] ?? '';
  const ofAdapters = (count: number) => (i: number) =>
    chat(face(i), `Question ${i}: describe this face.`, tokens, {
      ...{ tiles: 'off', model: adapters[i % count] },
    });
  return {
    'serve.poisson': (i) =>
      chat(face(i), `Question ${i}: describe this face.`, tokens, { tiles: 'off' }),
    'serve.sameimage': (i) => ({
      path: '/v1/choose',
      body: {
        ...{ images: [face(i)], tiles: 'off' },
        items: Array.from({ length: 1 + (i % 8) }, (_, k) => ({
          question: `Question ${i}.${k}: is this person smiling?`,
          choices: ['Yes', 'No'],
        })),
      },
    }),
    'serve.mixed': (i) =>
      i % 4 === 3
        ? chat(large, `Question ${i}: describe this picture.`, tokens)
        : chat(face(i), `Question ${i}: describe this face.`, tokens, { tiles: 'off' }),
    'serve.schema': (i) => ({
      path: '/v1/extract',
      body: {
        ...{ images: [face(i)], tiles: 'off', schema: SCHEMA },
        question: `Question ${i}: describe this face as JSON.`,
      },
    }),
    'serve.adapters1': ofAdapters(1),
    'serve.adapters4': ofAdapters(4),
    'serve.adapters8': ofAdapters(8),
  };
}

interface Chunk {
  readonly choices?: readonly { readonly delta: { readonly content?: string } }[];
  readonly usage?: { readonly completion_tokens: number } | null;
}

/** @param at the planned moment */
export async function ask(url: string, { path, body }: Question, at: number): Promise<Attempt> {
  const since = (): number => performance.now() - at;
  try {
    const response = await fetch(url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const { status } = response;
    if (status !== 200 || response.body === null) {
      await response.text();
      return { status, served: undefined, ms: since() };
    }
    const isStreamed =
      response.headers.get('content-type')?.startsWith('text/event-stream') ?? false;
    const served = isStreamed
      ? await readStream(response.body, since)
      : await readWhole(response, since);
    return { status, served, ms: since() };
  } catch {
    return { status: 0, served: undefined, ms: since() };
  }
}

async function readWhole(response: Response, since: () => number): Promise<Served> {
  const { usage } = (await response.json()) as { usage: { completion_tokens: number } };
  return { ttft: undefined, e2el: since(), gaps: [], tokens: usage.completion_tokens };
}

async function readStream(
  stream: ReadableStream<Uint8Array>,
  since: () => number,
): Promise<Served | undefined> {
  const moments: number[] = [];
  let [text, tokens, isWhole] = ['', 0, false];
  const decoder = new TextDecoder();
  for await (const bytes of stream) {
    const events = (text + decoder.decode(bytes, { stream: true })).split('\n\n');
    text = events.pop() ?? '';
    for (const event of events) {
      if (event === 'data: [DONE]') isWhole = true;
      else if (event.startsWith('data: ')) {
        const { choices, usage } = JSON.parse(event.slice(6)) as Chunk;
        if ((choices?.[0]?.delta.content ?? '') !== '') moments.push(since());
        tokens = usage?.completion_tokens ?? tokens;
      }
    }
  }
  if (!isWhole) return undefined;
  const gaps = moments.slice(1).map((moment, i) => moment - (moments[i] ?? moment));
  return { ttft: moments[0] ?? since(), e2el: since(), gaps, tokens };
}
