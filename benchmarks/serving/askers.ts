/** The same greedy question in the words of this server and of others, and what each answers. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Prompt {
  readonly text: string;
  /** Data URL. */
  readonly picture?: string;
  /** Into tiles, by the checkpoint's own range. */
  readonly isCut?: boolean;
}

export interface Asker {
  readonly url: string;
  body(prompt: Prompt, tokens: number, isStreamed: boolean): object;
}

export interface Answered {
  readonly text: string;
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Milliseconds to the first text; NaN where nothing is streamed. */
  readonly ttft: number;
}

const messagesOf = ({ text, picture }: Prompt): readonly object[] => {
  const image = { type: 'image_url', image_url: { url: picture } };
  const content = [...(picture === undefined ? [] : [image]), { type: 'text', text }];
  return [{ role: 'user', content }];
};

export const facellmAsker = (url: string): Asker => ({
  url,
  body: (prompt, tokens, isStreamed) => ({
    ...{ messages: messagesOf(prompt), max_tokens: tokens, min_tokens: tokens, temperature: 0 },
    ...(prompt.picture === undefined ? {} : { tiles: prompt.isCut === true ? undefined : 'off' }),
    ...(isStreamed ? { stream: true, stream_options: { include_usage: true } } : {}),
  }),
});

/** @param model the folder that it was started with: the ids that end an answer are told with every request */
export const transformersAsker = (url: string, model: string): Asker => {
  const { eos_token_id, bos_token_id } = JSON.parse(
    readFileSync(join(model, 'generation_config.json'), 'utf8'),
  ) as Record<string, unknown>;
  return {
    url,
    body: (prompt, tokens, isStreamed) => ({
      messages: messagesOf(prompt),
      stream: isStreamed,
      generation_config: JSON.stringify({
        ...{ do_sample: false, max_new_tokens: tokens, min_new_tokens: tokens },
        ...{ eos_token_id, bos_token_id, pad_token_id: eos_token_id },
      }),
      ...(prompt.picture === undefined
        ? {}
        : { chat_template_kwargs: { crop_to_patches: prompt.isCut === true } }),
    }),
  };
};

/** Of benchmarks/baselines/llama-serve.mjs, which takes text alone. */
export const llamaAsker = (url: string): Asker => ({
  url,
  body: (prompt, tokens, isStreamed) => ({
    ...{ messages: messagesOf(prompt), max_tokens: tokens, stream: isStreamed },
  }),
});

interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
}
interface Told {
  readonly choices?: readonly {
    readonly message?: { readonly content?: string };
    readonly delta?: { readonly content?: string };
  }[];
  readonly usage?: Usage | null;
  readonly error?: unknown;
}

/** @throws Error with the server's words, where it does not answer */
export async function answerOf(
  asker: Asker,
  prompt: Prompt,
  tokens: number,
  isStreamed: boolean,
): Promise<Answered> {
  const began = performance.now();
  const response = await fetch(`${asker.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(asker.body(prompt, tokens, isStreamed)),
  });
  if (response.status !== 200 || response.body === null) {
    throw new Error(`${response.status}: ${(await response.text()).slice(0, 500)}`);
  }
  let [text, ttft] = ['', NaN];
  let usage: Usage | undefined;
  const take = (told: Told): void => {
    if (told.error !== undefined) throw new Error(JSON.stringify(told.error));
    const [choice] = told.choices ?? [];
    const piece = choice?.message?.content ?? choice?.delta?.content ?? '';
    if (piece !== '' && Number.isNaN(ttft)) ttft = performance.now() - began;
    text += piece;
    usage = told.usage ?? usage;
  };
  if (!isStreamed) take((await response.json()) as Told);
  else {
    let rest = '';
    const decoder = new TextDecoder();
    const body: ReadableStream<Uint8Array> = response.body;
    for await (const bytes of body) {
      const events = (rest + decoder.decode(bytes, { stream: true })).split('\n\n');
      rest = events.pop() ?? '';
      for (const event of events) {
        if (event.startsWith('data: {')) take(JSON.parse(event.slice(6)) as Told);
      }
    }
  }
  if (usage === undefined) throw new Error('the answer broke off');
  return {
    ...{ text, ttft },
    promptTokens: usage.prompt_tokens,
    completionTokens: usage.completion_tokens,
  };
}
