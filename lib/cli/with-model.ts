/** Loading a model for one command: progress, Ctrl-C and SIGTERM, disposal. */
import { FaceLlm } from '../model/index.js';
import { fetchModels } from './download-reporter.js';
import { interruptSignal } from './interrupt.js';
import { loadOptionsOf, type ModelFlags } from './options.js';
import { type Console, LoadReporter, warningText } from './output.js';

/**
 * Loads the model, hands it to `work` with a signal that the first Ctrl-C or SIGTERM raises, and disposes
 * of it. A second one ends the process at once.
 */
export async function withModel<T>(
  flags: ModelFlags,
  streams: Console,
  work: (model: FaceLlm, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  using interrupt = interruptSignal();
  await fetchModels(flags.model, flags.adapter ?? [], flags, streams.stderr, interrupt.signal);
  const reporter = new LoadReporter(streams.stderr);
  await using model = await FaceLlm.load(flags.model, {
    ...loadOptionsOf(flags),
    onWarning: (warning) => streams.stderr.write(warningText(warning)),
    signal: interrupt.signal,
    onProgress: ({ bytesDone, bytesTotal }) => reporter.update(bytesDone, bytesTotal),
  });
  reporter.finish();
  return await work(model, interrupt.signal);
}
