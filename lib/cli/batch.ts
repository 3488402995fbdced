/** `facellm batch FILE.jsonl`: a file of requests in OpenAI's form, answered without a server; the same command goes on. */
import { basename } from 'node:path';

import { loadCalibration } from '../calibration/index.js';
import { formatDuration, StatusLine } from '../progress/index.js';
import { batch } from '../serving/index.js';
import type { ModelFlags, OutputFlags } from './options.js';
import type { Console } from './output.js';
import { withModel } from './with-model.js';

export interface BatchFlags extends ModelFlags, OutputFlags {
  readonly output: string;
  readonly servedName?: string;
  readonly calibration?: readonly string[];
  readonly ahead?: number;
  readonly retryFailed?: boolean;
}

/** @returns 0 where every line is answered, 1 where some failed, 130 where it was interrupted */
export async function runBatchFile(
  input: string,
  flags: BatchFlags,
  streams: Console,
): Promise<number> {
  const calibration = await Promise.all((flags.calibration ?? []).map(loadCalibration));
  const { output, ahead, retryFailed, adapter = [] } = flags;
  const servedName = flags.servedName ?? basename(flags.model);
  return withModel({ ...flags, adapter: [] }, streams, async (model, signal) => {
    // Each is a model of its own: none works where no line names it.
    for (const folder of adapter) {
      signal.throwIfAborted();
      await model.loadAdapter(folder);
    }
    const run = batch({ model, input, output, servedName, calibration, ahead, retryFailed });
    signal.addEventListener('abort', () => run.stop(), { once: true });
    if (signal.aborted) run.stop();
    const status = new StatusLine({ stream: streams.stderr, intervalSeconds: 10 });
    const startedAt = performance.now();
    let before: number | undefined;
    for await (const { total, completed, failed } of run) {
      const done = completed + failed;
      before ??= done;
      if (!status.isDue || done === before) continue;
      const left = ((performance.now() - startedAt) / 1000 / (done - before)) * (total - done);
      status.show(`${done} of ${total} requests, ${failed} failed, ${formatDuration(left)} left`);
    }
    status.erase();
    const result = await run;
    const { completed, failed, missing, errors } = result;
    if (flags.json === true) streams.stdout.write(`${JSON.stringify(result)}\n`);
    else if (missing > 0) {
      streams.stdout.write(`${missing} requests are left to do; run the same again\n`);
    } else {
      const faults = errors === undefined ? '' : `, ${failed} failed: ${errors}`;
      streams.stdout.write(`${completed} answers: ${output}${faults}\n`);
    }
    if (missing > 0) return 130;
    return failed > 0 ? 1 : 0;
  });
}
