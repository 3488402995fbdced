/** `facellm merge --model DIR [--adapter DIR...] --output DIR`: progress on stderr; Ctrl-C leaves nothing behind. */
import { exportModel, type ExportedModel, mergeAdapter } from '../model/index.js';
import { fetchModels } from './download-reporter.js';
import { interruptSignal } from './interrupt.js';
import type { OutputFlags } from './options.js';
import { type Console, formatBytes, LoadReporter, warningText } from './output.js';

export interface MergeFlags extends OutputFlags {
  readonly model: string;
  readonly adapter?: readonly string[];
  readonly output: string;
  readonly download?: boolean;
  readonly layout?: 'hf' | 'original';
  readonly dtype?: 'bf16' | 'fp32';
  readonly maxShardSize?: number;
  readonly ontoQuantised?: boolean;
}

export async function runMerge(flags: MergeFlags, streams: Console): Promise<void> {
  // A second one does not break off the removal of what is half written.
  using interrupt = interruptSignal(() => undefined);
  const reporter = new LoadReporter(streams.stderr, { doing: 'writing', done: 'written' });
  const { model, output, layout, dtype, maxShardSize, adapter: adapters = [] } = flags;
  await fetchModels(model, adapters, flags, streams.stderr, interrupt.signal);
  const options = {
    ...{ model, output, layout, dtype },
    maxShardBytes: maxShardSize,
    signal: interrupt.signal,
    onProgress: ({ bytesDone, bytesTotal }: { bytesDone: number; bytesTotal: number }) =>
      reporter.update(bytesDone, bytesTotal),
  };
  const result = await (adapters.length === 0
    ? exportModel(options)
    : mergeAdapter({
        ...{ ...options, adapters, ontoQuantised: flags.ontoQuantised },
        onWarning: (warning) => streams.stderr.write(warningText(warning)),
      }));
  reporter.finish();
  tellExported(result, flags, streams);
}

/** What was written; `form`: of its weights, before the layout. */
export function tellExported(
  result: ExportedModel,
  { json, adapter = [], form = '' }: MergeFlags & { readonly form?: string },
  { stdout }: Console,
): void {
  const merged = adapter.length === 0 ? '' : `, ${adapter.length} adapter(s) merged`;
  stdout.write(
    json
      ? `${JSON.stringify(result)}\n`
      : `${result.tensors} tensors, ${formatBytes(result.tensorBytes)} in ${result.files.length} file(s), ` +
          `${form}${result.layout} layout${merged}: ${result.directory}\n`,
  );
}
