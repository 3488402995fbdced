/** A chat completion told as a response: the whole object, or the events of a stream in their order. */
import { randomUUID } from 'node:crypto';

import type { ApiError } from './api-error.js';
import type { Dialect } from './chat-route.js';
import type { Body } from './values.js';

interface Completion {
  readonly created: number;
  readonly model: string;
  readonly choices: readonly {
    readonly message?: { readonly content: string };
    readonly delta?: { readonly role?: string; readonly content?: string };
    readonly logprobs?: { readonly content: readonly LogProb[] } | null;
    readonly finish_reason: string | null;
  }[];
  readonly usage?: Usage | null;
  readonly facellm?: object;
}

interface LogProb {
  readonly token: string;
  readonly logprob: number;
  readonly bytes: readonly number[];
  readonly top_logprobs: readonly Omit<LogProb, 'top_logprobs'>[];
}

interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: object;
  readonly completion_tokens_details: object;
}

/** As events of a text have them: bytes stand in the whole part only. */
const inEvent = ({ token, logprob, top_logprobs: top }: LogProb): object => ({
  ...{ token, logprob },
  top_logprobs: top.map((one) => ({ token: one.token, logprob: one.logprob })),
});

type Event = readonly [data: string, event?: string];

const usageOf = (usage: Usage): object => ({
  input_tokens: usage.prompt_tokens,
  // What the prefix cache takes in costs nothing, and is not told apart.
  input_tokens_details: { ...usage.prompt_tokens_details, cache_write_tokens: 0 },
  output_tokens: usage.completion_tokens,
  output_tokens_details: usage.completion_tokens_details,
  total_tokens: usage.total_tokens,
});

export class ResponsesAnswer implements Dialect {
  readonly #echo: Body;
  readonly #id = `resp_${randomUUID().replaceAll('-', '')}`;
  readonly #itemId = `msg_${randomUUID().replaceAll('-', '')}`;
  readonly #logProbs: LogProb[] = [];
  #sequence = 0;
  #text = '';
  #finish: string | null = null;
  #last: Completion | undefined;
  #account: object | undefined;
  #usage: Usage | undefined;

  /** @param echo what an answer repeats of its request */
  constructor(echo: Body) {
    this.#echo = echo;
  }

  whole(completion: object): object {
    const chat = completion as Completion;
    const [choice] = chat.choices;
    this.#text = choice?.message?.content ?? '';
    this.#logProbs.push(...(choice?.logprobs?.content ?? []));
    this.#finish = choice?.finish_reason ?? null;
    this.#usage = chat.usage ?? undefined;
    this.#account = chat.facellm;
    return this.#response(chat, this.#status);
  }

  events(chunk: object): readonly Event[] {
    const chat = chunk as Completion;
    const isFirst = this.#last === undefined;
    this.#last = chat;
    const told: Event[] = [];
    if (isFirst) {
      const response = this.#response(chat, 'in_progress');
      told.push(
        this.#event('response.created', { response }),
        this.#event('response.in_progress', { response }),
        this.#event('response.output_item.added', {
          output_index: 0,
          item: this.#item('in_progress'),
        }),
        this.#event('response.content_part.added', { ...this.#place, part: this.#part() }),
      );
    }
    this.#usage = chat.usage ?? this.#usage;
    this.#account = chat.facellm ?? this.#account;
    const [choice] = chat.choices;
    const listed = choice?.logprobs?.content ?? [];
    this.#logProbs.push(...listed);
    this.#finish = choice?.finish_reason ?? this.#finish;
    const delta = choice?.delta?.content ?? '';
    this.#text += delta;
    if (delta !== '') {
      const logprobs = listed.map(inEvent);
      told.push(this.#event('response.output_text.delta', { ...this.#place, delta, logprobs }));
    }
    return told;
  }

  end(): readonly Event[] {
    const chat = this.#last;
    if (chat === undefined) return [];
    const status = this.#status;
    return [
      this.#event('response.output_text.done', {
        ...this.#place,
        text: this.#text,
        logprobs: this.#logProbs.map(inEvent),
      }),
      this.#event('response.content_part.done', { ...this.#place, part: this.#part() }),
      this.#event('response.output_item.done', { output_index: 0, item: this.#item(status) }),
      this.#event(`response.${status}`, { response: this.#response(chat, status) }),
    ];
  }

  failure(error: ApiError, requestId: string): Event {
    const { message, code, param } = error.body(requestId).error;
    return this.#event('error', { code, message, param });
  }

  get #status(): 'completed' | 'incomplete' {
    return this.#finish === 'length' ? 'incomplete' : 'completed';
  }

  get #place(): object {
    return { item_id: this.#itemId, output_index: 0, content_index: 0 };
  }

  #event(type: string, fields: object): Event {
    return [JSON.stringify({ type, sequence_number: this.#sequence++, ...fields }), type];
  }

  #part(): object {
    return {
      type: 'output_text',
      text: this.#text,
      annotations: [],
      logprobs: [...this.#logProbs],
    };
  }

  #item(status: string): object {
    const content = status === 'in_progress' ? [] : [this.#part()];
    return { type: 'message', id: this.#itemId, status, role: 'assistant', content };
  }

  #response({ created, model }: Completion, status: string): object {
    const isOver = status !== 'in_progress';
    return {
      ...{ id: this.#id, object: 'response', created_at: created, model, status, error: null },
      incomplete_details: status === 'incomplete' ? { reason: 'max_output_tokens' } : null,
      output: isOver ? [this.#item(status)] : [],
      ...this.#echo,
      ...{ parallel_tool_calls: false, tool_choice: 'none', tools: [], truncation: 'disabled' },
      ...{ previous_response_id: null, background: false, store: false },
      ...(isOver && this.#usage !== undefined && { usage: usageOf(this.#usage) }),
      ...(isOver && this.#account !== undefined && { facellm: this.#account }),
    };
  }
}
