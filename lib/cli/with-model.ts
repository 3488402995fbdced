/** Loading a model for one command: progress, Ctrl-C and SIGTERM, disposal. */
import { FaceLlm } from '../model/index.js';
import type { ModelFlags } from './options.js';
import { type Console, LoadReporter } from './output.js';

/** Thrown as the reason of an abort by Ctrl-C or SIGTERM; main() exits with 130. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

/**
 * Loads the model, hands it to `work` with a signal that the first Ctrl-C or SIGTERM raises, and disposes
 * of it. A second one ends the process at once.
 */
export async function withModel<T>(
  flags: ModelFlags,
  streams: Console,
  work: (model: FaceLlm, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const abort = new AbortController();
  const interrupt = (): void => {
    if (abort.signal.aborted) process.exit(130);
    abort.abort(new Interrupted('interrupted'));
  };
  process.on('SIGINT', interrupt);
  // As the first process of a container has to: there the signal does nothing unless it is listened for.
  process.on('SIGTERM', interrupt);
  const reporter = new LoadReporter(streams.stderr);
  try {
    await using model = await FaceLlm.load(flags.model, {
      device: flags.device,
      dtype: flags.dtype,
      subfolder: flags.subfolder,
      threads: flags.threads,
      mmap: flags.mmap,
      adapter: flags.adapter,
      onWarning: ({ message, remedy, differences }) => {
        const lines = [
          `warning: ${message} (${remedy})`,
          ...differences.map((line) => `  - ${line}`),
        ];
        streams.stderr.write(`${lines.join('\n')}\n`);
      },
      signal: abort.signal,
      onProgress: ({ bytesDone, bytesTotal }) => reporter.update(bytesDone, bytesTotal),
    });
    reporter.finish();
    return await work(model, abort.signal);
  } finally {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  }
}
