/** The exact probability of each given answer, the base model's beside the adapter's. */
import { useState } from 'preact/hooks';

import { type Choice, post } from './api.js';
import { Bars, percent } from './bars.js';
import { Failure } from './failure.js';
import { RequestCode } from './request-code.js';
import { pictureUrls, promptFields, settings, shared, useShared } from './state.js';

const PRESETS: readonly (readonly [name: string, question: string, choices: string])[] = [
  ['Smile', 'Is this person smiling? Answer with Yes or No.', 'Yes\nNo'],
  ['Glasses', 'Is this person wearing glasses? Answer with Yes or No.', 'Yes\nNo'],
  [
    'Age band',
    'How old does this person look? Answer with one age band.',
    '0-9\n10-19\n20-29\n30-39\n40-49\n50-59\n60-69\n70 or more',
  ],
];
const PATH = '/v1/choose';

interface Result {
  readonly results: readonly {
    readonly best: number;
    readonly mass: number;
    readonly entropy: number;
    readonly choices: readonly Choice[];
  }[];
}

interface Shown extends Result {
  readonly model: string;
}

export function Choices() {
  useShared();
  const [[, firstQuestion, firstChoices] = ['', '', '']] = PRESETS;
  const [question, setQuestion] = useState(firstQuestion);
  const [choices, setChoices] = useState(firstChoices);
  const [shown, setShown] = useState<readonly Shown[]>([]);
  const [asked, setAsked] = useState<object>();
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const ask = async (): Promise<void> => {
    const { model } = settings;
    const { system } = settings;
    const models = model === shared.base || model === '' ? [shared.base] : [model, shared.base];
    const content = [
      ...pictureUrls().map((url) => ({ type: 'image_url', image_url: { url } })),
      { type: 'text', text: question },
    ];
    const body = {
      ...promptFields(),
      ...(system === ''
        ? { images: pictureUrls(), question }
        : {
            messages: [
              { role: 'system', content: system },
              { role: 'user', content },
            ],
          }),
      choices: choices.split('\n').filter((line) => line.trim() !== ''),
    };
    setBusy(true);
    setAsked(body);
    setError(undefined);
    try {
      const results = models.map(async (one) => ({
        model: one,
        ...(await post<Result>(PATH, { ...body, model: one })),
      }));
      setShown(await Promise.all(results));
    } catch (reason) {
      setShown([]);
      setError(reason);
    } finally {
      setBusy(false);
    }
  };
  return (
    <section aria-label="Choices">
      <div class="row" role="group" aria-label="Presets">
        {PRESETS.map(([name, text, list]) => (
          <button
            type="button"
            onClick={() => {
              setQuestion(text);
              setChoices(list);
            }}
          >
            {name}
          </button>
        ))}
      </div>
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
          Answers, one a line
          <textarea
            rows={4}
            value={choices}
            onInput={({ currentTarget: { value } }) => setChoices(value)}
          />
        </label>
        <button type="submit" class="main" disabled={isBusy}>
          Compare
        </button>
      </form>
      <Failure error={error} />
      <div aria-live="polite" class="side">
        {shown.map(({ model, results: [result] }) =>
          result === undefined ? null : (
            <div class="result">
              <Bars
                caption={model}
                bars={result.choices.map(({ text, probability, logprob }, i) => ({
                  ...{ label: text, probability, logprob, isBest: i === result.best },
                }))}
              />
              <p class="facts">
                mass {percent(result.mass)}: the model's belief that these answers cover
                {result.mass < 0.5 && '. Most of it lies elsewhere: the shares say little'}
              </p>
            </div>
          ),
        )}
      </div>
      {asked !== undefined && <RequestCode path={PATH} body={asked} />}
    </section>
  );
}
