/** A conversation about the pictures, streamed; what the model writes is shown as text and never as anything else. */
import { useRef, useState } from 'preact/hooks';

import { stream } from './api.js';
import { Failure, isStopped } from './failure.js';
import { RequestCode } from './request-code.js';
import { pictureUrls, promptFields, settings, useShared } from './state.js';

interface Turn {
  readonly role: 'user' | 'assistant';
  readonly text: string;
  readonly facts?: string;
}

interface Chunk {
  readonly choices: readonly {
    readonly delta: { readonly content?: string };
    readonly finish_reason: string | null;
  }[];
  readonly usage?: {
    readonly completion_tokens: number;
    readonly prompt_tokens: number;
    readonly prompt_tokens_details: { readonly cached_tokens: number };
  } | null;
}

const PATH = '/v1/chat/completions';

function bodyOf(turns: readonly Turn[]): object {
  const { temperature, topP, seed, maxTokens, system } = settings;
  const pictures = pictureUrls().map((url) => ({ type: 'image_url', image_url: { url } }));
  const messages = turns.map(({ role, text }, i) => ({
    role,
    content: i === 0 && pictures.length > 0 ? [...pictures, { type: 'text', text }] : text,
  }));
  return {
    ...promptFields(),
    messages: system === '' ? messages : [{ role: 'system', content: system }, ...messages],
    ...{ temperature, max_tokens: maxTokens, stream: true },
    ...(topP < 1 && { top_p: topP }),
    ...(seed !== '' && { seed: Number(seed) }),
    stream_options: { include_usage: true },
  };
}

export function Chat() {
  useShared();
  const [turns, setTurns] = useState<readonly Turn[]>([]);
  const [draft, setDraft] = useState('Describe this face.');
  const [error, setError] = useState<unknown>();
  const [asked, setAsked] = useState<object>();
  const running = useRef<AbortController>(undefined);
  const [isRunning, setRunning] = useState(false);

  const ask = async (before: readonly Turn[]): Promise<void> => {
    const body = bodyOf(before);
    const stop = new AbortController();
    running.current = stop;
    setRunning(true);
    setAsked(body);
    setError(undefined);
    const started = performance.now();
    let [text, first, facts] = ['', 0, ''];
    const show = (): void => setTurns([...before, { role: 'assistant', text, facts }]);
    try {
      for await (const { choices, usage } of stream<Chunk>(PATH, body, stop.signal)) {
        const [choice] = choices;
        if (choice?.delta.content !== undefined && choice.delta.content !== '') {
          if (first === 0) first = performance.now();
          text += choice.delta.content;
        }
        if (choice?.finish_reason === 'length') facts = 'cut at its limit · ';
        if (usage) {
          const { completion_tokens: made, prompt_tokens: prompt } = usage;
          const seconds = (performance.now() - first) / 1000;
          const rate =
            made > 1 && seconds > 0 ? `${((made - 1) / seconds).toFixed(1)} tokens/s · ` : '';
          facts +=
            `${rate}first after ${Math.round(first - started)} ms · ` +
            `${made} tokens · ${usage.prompt_tokens_details.cached_tokens} of ${prompt} prompt tokens cached`;
        }
        show();
      }
    } catch (reason) {
      if (!isStopped(reason)) setError(reason);
      else if (text !== '') {
        facts = 'stopped';
        show();
      }
    } finally {
      setRunning(false);
    }
  };
  const send = (): void => {
    if (draft.trim() === '' || isRunning) return;
    const next = [...turns, { role: 'user', text: draft } as const];
    setTurns(next);
    setDraft('');
    void ask(next);
  };
  /** Takes a question back into the box, and what followed it away. */
  const edit = (place: number): void => {
    setDraft(turns[place]?.text ?? '');
    setTurns(turns.slice(0, place));
  };
  const last = turns.at(-1);
  return (
    <section aria-label="Chat">
      <ol class="turns" aria-live="polite" aria-busy={isRunning}>
        {turns.map(({ role, text, facts }, i) => (
          <li class={role} key={i}>
            <span class="who">{role === 'user' ? 'You' : 'Model'}</span>
            <div class="text">{text}</div>
            {facts !== undefined && facts !== '' && <small>{facts}</small>}
            <span class="tools">
              <button type="button" onClick={() => void navigator.clipboard.writeText(text)}>
                Copy
              </button>
              {role === 'user' && !isRunning && (
                <button type="button" onClick={() => edit(i)}>
                  Edit
                </button>
              )}
            </span>
          </li>
        ))}
      </ol>
      <Failure error={error} />
      <form
        class="composer"
        onSubmit={(event) => {
          event.preventDefault();
          send();
        }}
      >
        <label>
          Question
          <textarea
            rows={3}
            value={draft}
            onInput={({ currentTarget }) => setDraft(currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
              event.preventDefault();
              send();
            }}
          />
        </label>
        <div class="row">
          <button type="submit" class="main" disabled={isRunning}>
            Send
          </button>
          <button type="button" disabled={!isRunning} onClick={() => running.current?.abort()}>
            Stop
          </button>
          <button
            type="button"
            disabled={isRunning || last?.role !== 'assistant'}
            onClick={() => void ask(turns.slice(0, -1))}
          >
            Regenerate
          </button>
          <button type="button" disabled={isRunning} onClick={() => setTurns([])}>
            Clear
          </button>
        </div>
      </form>
      {asked !== undefined && <RequestCode path={PATH} body={asked} />}
    </section>
  );
}
