/** An object by a schema, and the distribution of each of its fields. */
import { useState } from 'preact/hooks';

import { type Field, post } from './api.js';
import { Bars, percent } from './bars.js';
import { Failure } from './failure.js';
import { RequestCode } from './request-code.js';
import { pictureUrls, promptFields, settings, useShared } from './state.js';

const SCHEMA = `{
  "type": "object",
  "properties": {
    "smiling": { "type": "boolean" },
    "age": { "type": "integer", "minimum": 0, "maximum": 99 },
    "hair": { "enum": ["black", "brown", "blond", "red", "grey", "none"] }
  },
  "required": ["smiling", "age", "hair"]
}`;
const PATH = '/v1/extract';
const MOST_BARS = 8;

interface Extraction {
  readonly text: string;
  readonly complete: boolean;
  readonly fields: readonly Field[];
}

export function FieldsTab() {
  useShared();
  const [question, setQuestion] = useState('Describe this face as JSON.');
  const [schema, setSchema] = useState(SCHEMA);
  const [result, setResult] = useState<Extraction>();
  const [asked, setAsked] = useState<object>();
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const ask = async (): Promise<void> => {
    setBusy(true);
    setError(undefined);
    try {
      const { temperature, seed } = settings;
      const body = {
        ...promptFields(),
        ...{ images: pictureUrls(), question, temperature },
        ...(seed !== '' && { seed: Number(seed) }),
        schema: JSON.parse(schema) as unknown,
      };
      setAsked(body);
      setResult(await post<Extraction>(PATH, body));
    } catch (reason) {
      setResult(undefined);
      setError(reason);
    } finally {
      setBusy(false);
    }
  };
  return (
    <section aria-label="Fields">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void ask();
        }}
      >
        <label>
          Question
          <textarea
            rows={2}
            value={question}
            onInput={({ currentTarget: { value } }) => setQuestion(value)}
          />
        </label>
        <label>
          JSON schema
          <textarea
            rows={10}
            class="source"
            spellcheck={false}
            value={schema}
            onInput={({ currentTarget: { value } }) => setSchema(value)}
          />
        </label>
        <button type="submit" class="main" disabled={isBusy}>
          Extract
        </button>
      </form>
      <Failure error={error} />
      <div aria-live="polite">
        {result !== undefined && <pre class="object">{result.text}</pre>}
        {result?.fields.map((field) => (
          <Distribution field={field} />
        ))}
      </div>
      {asked !== undefined && <RequestCode path={PATH} body={asked} />}
    </section>
  );
}

function Distribution({ field }: { readonly field: Field }) {
  const { path, mass, mean, median, alternatives } = field;
  const all = [field, ...alternatives];
  const shown = [...all].sort((a, b) => b.probability - a.probability).slice(0, MOST_BARS);
  const hidden = all.length - shown.length;
  return (
    <div class="result">
      <Bars
        caption={path === '' ? 'value' : path}
        bars={shown.map(({ value, probability, logprob }) => ({
          ...{ label: JSON.stringify(value), probability, logprob, isBest: value === field.value },
        }))}
      />
      <p class="facts">
        mass {percent(mass)}
        {mean !== undefined && ` · mean ${mean.toFixed(1)}, median ${String(median)}`}
        {hidden > 0 && ` · ${hidden} less probable values`}
      </p>
    </div>
  );
}
