/** Training runs: which there are, and one as it goes on. Nothing is started or stopped from here. */
import { useEffect, useState } from 'preact/hooks';

import { get } from './api.js';
import { Failure } from './failure.js';
import { RunView } from './run-view.js';
import { span } from './span.js';

const EVERY_MS = 5000;

interface Listed {
  readonly id: string;
  readonly step: number | null;
  readonly total_steps: number | null;
  readonly updated_at: number;
}

interface Runs {
  readonly watching: boolean;
  readonly data: readonly Listed[];
}

/** Kept while other parts of the page are looked at. */
let chosen: string | undefined;

function factsOf({ step, total_steps, updated_at }: Listed): string {
  const place =
    step === null
      ? 'no record yet'
      : total_steps !== null && step >= total_steps
        ? `all ${total_steps} updates done`
        : `update ${step} of ${total_steps ?? '?'}`;
  return `${place} · written ${span(Date.now() / 1000 - updated_at)} ago`;
}

export function Runs() {
  const [runs, setRuns] = useState<Runs>();
  const [error, setError] = useState<unknown>();
  const [id, setId] = useState(chosen);
  const choose = (one: string): void => setId((chosen = one));
  useEffect(() => {
    const ask = async (): Promise<void> => {
      try {
        const found = (await (await get('/v1/runs')).json()) as Runs;
        setRuns(found);
        const [first] = found.data;
        if (chosen === undefined && first !== undefined) choose(first.id);
        setError(undefined);
      } catch (reason) {
        setError(reason);
      }
    };
    void ask();
    const timer = setInterval(() => void ask(), EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <section aria-label="Training runs">
      <Failure error={error} />
      {runs?.watching === false && (
        <p class="hint">
          No runs to watch: start the server with <code>--runs DIR</code>, a folder of training
          runs.
        </p>
      )}
      {runs?.watching === true && runs.data.length === 0 && (
        <p class="hint">No training has begun in the folders of --runs.</p>
      )}
      <ul class="runs">
        {runs?.data.map((run) => (
          <li>
            <button type="button" aria-pressed={run.id === id} onClick={() => choose(run.id)}>
              {run.id}
              <small>{factsOf(run)}</small>
            </button>
          </li>
        ))}
      </ul>
      {id !== undefined && <RunView key={id} id={id} />}
    </section>
  );
}
