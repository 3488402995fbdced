/** Training runs to watch: which there are, the records of one as server-sent events, and its checkpoints. Nothing is started or stopped. */
import { FaceLlmError } from '../errors.js';
import { ApiError, ClientGone, internalError, tooBusy } from './api-error.js';
import type { Exchange, Reply } from './exchange.js';
import { listCheckpoints } from './run-checkpoints.js';
import type { RunFolders } from './run-folders.js';
import { type RunNews, watchRun } from './run-watch.js';
import { Sse } from './sse.js';

const MOST_WATCHED = 64;
const AGAIN_MS = 10_000;

/** How many streams are open of each server's runs. */
const watched = new WeakMap<RunFolders, number>();

export async function runsRoute({ state: { runs } }: Exchange): Promise<Reply> {
  const data = (await runs?.list()) ?? [];
  return { object: 'list', watching: runs !== undefined, data };
}

/** @throws ApiError 404 where none are watched */
export function watchedRuns({ state: { runs } }: Exchange, param?: string): RunFolders {
  if (runs !== undefined) return runs;
  const message = 'this server was started without --runs';
  throw new ApiError(404, 'unsupported_endpoint', message, { param });
}

export const noSuchRun = (param?: string): ApiError =>
  new ApiError(404, 'run_not_found', 'there is no such run', { param });

/**
 * What of a run can be loaded as an adapter, and under which name it is.
 *
 * @param id as the list has it
 * @throws ApiError 404
 */
export async function runCheckpointsRoute(exchange: Exchange, id: string): Promise<Reply> {
  const { catalogue } = exchange.state;
  const run = await watchedRuns(exchange).folderOf(id);
  if (run === undefined) throw noSuchRun();
  const data = (await listCheckpoints(run)).map((checkpoint) => ({
    ...{ id: checkpoint.id, object: 'facellm.checkpoint', step: checkpoint.step },
    updated_at: checkpoint.updatedAt,
    loaded_as: catalogue.loadedFrom(checkpoint.folder) ?? null,
  }));
  return { object: 'list', data };
}

/**
 * @param id as the list has it
 * @throws ApiError 404; 429 where as many are watched as may be
 */
export async function runEventsRoute(exchange: Exchange, id: string): Promise<Reply> {
  const { state, incoming, outgoing, headers, facts } = exchange;
  const runs = watchedRuns(exchange);
  const openLog = () => runs.openLog(id);
  const log = await openLog();
  if (log === undefined) throw noSuchRun();
  await log.close();
  const open = watched.get(runs) ?? 0;
  if (open >= MOST_WATCHED) throw tooBusy('as many runs are watched as may be', AGAIN_MS);
  const gone = new AbortController();
  const leave = (): void => gone.abort(new ClientGone('whoever watched has gone'));
  outgoing.once('close', leave);
  if (outgoing.destroyed) leave();
  const { stallTimeout } = state.policy.limits;
  facts.isStreamed = true;
  watched.set(runs, open + 1);
  const sse = new Sse(outgoing, headers, { stallMs: stallTimeout, onGone: leave });
  try {
    const position = incoming.headers['last-event-id'];
    for await (const news of watchRun(openLog, position?.toString(), gone.signal)) {
      sse.send(...eventOf(news));
      sse.idle('watching');
      await sse.taken();
    }
  } catch (error) {
    // That is how watching ends.
    if (gone.signal.aborted) return undefined;
    const told = toldAs(error);
    sse.send(JSON.stringify(told.body(facts.id)), 'error');
    if (told.status === 500) throw error;
  } finally {
    watched.set(runs, (watched.get(runs) ?? 1) - 1);
    sse.end();
  }
  return undefined;
}

function eventOf(news: RunNews): [data: string, event: string, id?: string] {
  if (news.type === 'records') {
    return [JSON.stringify({ records: news.records }), news.type, news.position];
  }
  return [JSON.stringify(news.type === 'caught_up' ? { age_ms: news.ageMs } : {}), news.type];
}

/** The file's name and content stay here. */
function toldAs(error: unknown): ApiError {
  if (!(error instanceof FaceLlmError) || error.code !== 'FACELLM_RUN_INVALID') {
    return internalError(error);
  }
  const place = /byte \d+/.exec(error.message)?.[0] ?? 'somewhere';
  const message = `the log of this run holds something that is no record, at ${place}`;
  return new ApiError(422, 'invalid_run_log', message, { cause: error });
}
