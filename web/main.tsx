/** The page of a server: pictures on one side; chat, choices, fields and the server itself on the other. */
import { render } from 'preact';
import { useEffect, useState } from 'preact/hooks';

import { ApiError } from './api.js';
import { Chat } from './chat.js';
import { Choices } from './choices.js';
import { Failure } from './failure.js';
import { FieldsTab } from './fields.js';
import { loadModels } from './models.js';
import { Pictures } from './pictures.js';
import { Runs } from './runs.js';
import { Server } from './server.js';
import { KeyBox, ModelPicker, SettingsBox } from './settings.js';

/** What asks again and again is there only while it is looked at. */
const LIVE: readonly string[] = ['runs', 'server'];
const TABS = [
  ['chat', 'Chat', Chat],
  ['choices', 'Choices', Choices],
  ['fields', 'Fields', FieldsTab],
  ['runs', 'Runs', Runs],
  ['server', 'Server', Server],
] as const;

function App() {
  const [tab, setTab] = useState<string>('chat');
  const [error, setError] = useState<unknown>();
  const load = (): void => {
    loadModels().then(() => setError(undefined), setError);
  };
  useEffect(load, []);
  const needsKey = error instanceof ApiError && error.failure.code === 'invalid_api_key';
  /** As tabs are used: arrows move, and what is left is kept. */
  const move = (event: KeyboardEvent): void => {
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    if (step === 0) return;
    const at = TABS.findIndex(([id]) => id === tab);
    const [next] = TABS[(at + step + TABS.length) % TABS.length] ?? TABS[0];
    setTab(next);
    document.getElementById(`tab-${next}`)?.focus();
  };
  return (
    <>
      <header>
        <h1>facellm</h1>
        <ModelPicker />
      </header>
      <p class="warning">
        Not for identifying, watching, admitting or ranking people, nor for decisions about a
        person: answers repeat the biases of their data.{' '}
        <a href="/assets/fairness.txt" target="_blank" rel="noreferrer">
          What it must not be used for
        </a>
      </p>
      {needsKey ? <KeyBox onKey={load} /> : <Failure error={error} />}
      <main class={tab === 'runs' ? 'wide' : ''}>
        <aside hidden={tab === 'runs'}>
          <Pictures />
          <SettingsBox />
        </aside>
        <div>
          <div role="tablist" aria-label="What to ask" onKeyDown={move}>
            {TABS.map(([id, name]) => (
              <button
                type="button"
                role="tab"
                id={`tab-${id}`}
                aria-selected={tab === id}
                aria-controls={`panel-${id}`}
                tabIndex={tab === id ? 0 : -1}
                onClick={() => setTab(id)}
              >
                {name}
              </button>
            ))}
          </div>
          {TABS.map(([id, , Panel]) => (
            <div
              role="tabpanel"
              id={`panel-${id}`}
              aria-labelledby={`tab-${id}`}
              hidden={tab !== id}
            >
              {(!LIVE.includes(id) || tab === id) && <Panel />}
            </div>
          ))}
        </div>
      </main>
    </>
  );
}

const place = document.getElementById('app');
if (place !== null) render(<App />, place);
