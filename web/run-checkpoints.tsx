/** What a run has written that can be an adapter: taken into the server's memory, and out of it, by a click each. */
import { useEffect, useRef, useState } from 'preact/hooks';

import { ApiError, get, post, remove, runAddress } from './api.js';
import { Failure } from './failure.js';
import { loadModels } from './models.js';
import { span } from './span.js';

const EVERY_MS = 10_000;

interface Checkpoint {
  readonly id: string;
  readonly step: number | null;
  readonly updated_at: number;
  readonly loaded_as: string | null;
}

const factsOf = ({ step, updated_at }: Checkpoint): string =>
  `${step === null ? 'what the run ended with' : `update ${step}`} · written ${span(Date.now() / 1000 - updated_at)} ago`;

interface Found {
  /** Undefined until the server has answered. */
  readonly list: readonly Checkpoint[] | undefined;
  readonly error: unknown;
  readonly ask: () => Promise<void>;
}

/** @param step of the last record: after each there may be another one */
function useCheckpoints(run: string, step: number | undefined, isGone: boolean): Found {
  const [list, setList] = useState<readonly Checkpoint[]>();
  const [error, setError] = useState<unknown>();
  const asked = useRef({ last: 0, shown: 0 });
  const ask = async (): Promise<void> => {
    const turn = ++asked.current.last;
    // An answer that was overtaken by a later one is old.
    const show = (found: readonly Checkpoint[] | undefined, reason?: unknown): void => {
      if (turn < asked.current.shown) return;
      asked.current.shown = turn;
      if (found !== undefined) setList(found);
      setError(reason);
    };
    try {
      const answer = await get(runAddress(run, 'checkpoints'));
      show(((await answer.json()) as { data: Checkpoint[] }).data);
    } catch (reason) {
      const code = reason instanceof ApiError ? reason.failure.code : undefined;
      // That the server or the run is gone is told above.
      if (code === 'run_not_found') show([]);
      else if (code !== undefined) show(undefined, reason);
    }
  };
  useEffect(() => {
    if (isGone) {
      setList([]);
      return;
    }
    void ask();
    const timer = setInterval(() => void ask(), EVERY_MS);
    return () => clearInterval(timer);
  }, [run, step, isGone]);
  return { list, error, ask };
}

interface Props {
  readonly run: string;
  readonly step: number | undefined;
  readonly isGone: boolean;
}

export function RunCheckpoints({ run, step, isGone }: Props) {
  const { list, error, ask } = useCheckpoints(run, step, isGone);
  const [busy, setBusy] = useState<string>();
  const [told, setTold] = useState('');
  const [failed, setFailed] = useState<unknown>();
  const toggle = async ({ id, loaded_as }: Checkpoint): Promise<void> => {
    if (busy !== undefined) return;
    setBusy(id);
    setFailed(undefined);
    try {
      if (loaded_as === null) {
        setTold(`Loading ${id}.`);
        const { id: name } = await post<{ id: string }>('/v1/adapters', { run, checkpoint: id });
        setTold(`${id} is loaded: choose ${name} as the model above.`);
      } else {
        setTold(`Unloading ${loaded_as}, once who works with it is through.`);
        await remove(`/v1/adapters/${encodeURIComponent(loaded_as)}`);
        setTold(`${loaded_as} is unloaded.`);
      }
    } catch (reason) {
      setTold('');
      setFailed(reason);
    }
    // After a refusal, too: somebody else may have changed what there is.
    await Promise.all([ask(), loadModels().catch(setFailed)]);
    setBusy(undefined);
  };
  return (
    <section aria-label="Checkpoints">
      <h3>Checkpoints</h3>
      {list?.length === 0 && <p class="hint">There is no checkpoint with an adapter.</p>}
      <ul class="checkpoints">
        {list?.map((checkpoint) => {
          const { id, loaded_as } = checkpoint;
          const action = loaded_as === null ? 'Use as adapter' : 'Unload';
          return (
            <li key={id}>
              <span>
                {id}
                <small>{factsOf(checkpoint)}</small>
                {loaded_as !== null && (
                  <small>
                    loaded as <b>{loaded_as}</b>
                  </small>
                )}
              </span>
              {/* One button for both, which stays in focus; so does one that is at work. */}
              <button
                type="button"
                aria-label={`${action}: ${id}`}
                aria-disabled={busy !== undefined}
                onClick={() => void toggle(checkpoint)}
              >
                {action}
              </button>
            </li>
          );
        })}
      </ul>
      <p class="hint" role="status">
        {told}
      </p>
      <Failure error={failed ?? error} />
    </section>
  );
}
