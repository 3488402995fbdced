/** Model, adapter and how answers are drawn. */
import { useState } from 'preact/hooks';

import { setKey } from './api.js';
import { changed, type Settings, settings, shared, useShared } from './state.js';

function set<K extends keyof Settings>(name: K, value: Settings[K]): void {
  settings[name] = value;
  changed();
}

export function ModelPicker() {
  useShared();
  return (
    <label class="inline">
      Model
      <select
        value={settings.model}
        onChange={({ currentTarget }) => set('model', currentTarget.value)}
      >
        {shared.models.map((id) => (
          <option value={id}>{id === shared.base ? id : `${id} (adapter)`}</option>
        ))}
      </select>
    </label>
  );
}

export function SettingsBox() {
  useShared();
  const { temperature, topP, seed, maxTokens, system, template } = settings;
  return (
    <details class="settings">
      <summary>Settings</summary>
      <label>
        Temperature <b>{temperature === 0 ? '0: the most probable' : temperature}</b>
        <input
          type="range"
          min={0}
          max={2}
          step={0.1}
          value={temperature}
          onInput={({ currentTarget: { value } }) => set('temperature', Number(value))}
        />
      </label>
      <label>
        Top-p <b>{topP}</b>
        <input
          type="range"
          min={0.05}
          max={1}
          step={0.05}
          value={topP}
          onInput={({ currentTarget: { value } }) => set('topP', Number(value))}
        />
      </label>
      <label>
        Seed
        <input
          inputMode="numeric"
          pattern="\d*"
          placeholder="another each time"
          value={seed}
          onInput={({ currentTarget: { value } }) => set('seed', value.replace(/\D/g, ''))}
        />
      </label>
      <label>
        Tokens at most
        <input
          type="number"
          min={1}
          max={4096}
          value={maxTokens}
          onInput={({ currentTarget: { value } }) => set('maxTokens', Math.max(1, Number(value)))}
        />
      </label>
      <label>
        System text
        <textarea
          rows={2}
          value={system}
          onInput={({ currentTarget: { value } }) => set('system', value)}
        />
      </label>
      <label>
        Form of the prompt
        <select
          value={template}
          onChange={({ currentTarget: { value } }) => set('template', value)}
        >
          <option value="">as the model was trained</option>
          {['hub', 'original', 'training'].map((name) => (
            <option value={name}>{name}</option>
          ))}
        </select>
      </label>
    </details>
  );
}

export function KeyBox({ onKey }: { readonly onKey: () => void }) {
  const [text, setText] = useState('');
  return (
    <form
      class="key"
      onSubmit={(event) => {
        event.preventDefault();
        setKey(text);
        onKey();
      }}
    >
      <label>
        This server asks for a key; it stays in this tab
        <input
          type="password"
          autocomplete="off"
          value={text}
          onInput={({ currentTarget }) => setText(currentTarget.value)}
        />
      </label>
      <button type="submit" class="main">
        Use key
      </button>
    </form>
  );
}
