/** `facellm merge --model DIR [--adapter DIR...] --output DIR`: progress on stderr; Ctrl-C leaves nothing behind. */
import { exportModel, mergeAdapter } from '../model/index.js';
import type { OutputFlags } from './options.js';
import { type Console, formatBytes, LoadReporter } from './output.js';
import { Interrupted } from './with-model.js';

export interface MergeFlags extends OutputFlags {
  readonly model: string;
  readonly adapter?: readonly string[];
  readonly output: string;
  readonly layout?: 'hf' | 'original';
  readonly dtype?: 'bf16' | 'fp32';
  readonly maxShardSize?: number;
}

export async function runMerge(flags: MergeFlags, streams: Console): Promise<void> {
  const abort = new AbortController();
  const interrupt = (): void => abort.abort(new Interrupted('interrupted'));
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  const reporter = new LoadReporter(streams.stderr, { doing: 'writing', done: 'written' });
  try {
    const { model, output, layout, dtype, maxShardSize, adapter: adapters = [] } = flags;
    const options = {
      ...{ model, output, layout, dtype },
      maxShardBytes: maxShardSize,
      signal: abort.signal,
      onProgress: ({ bytesDone, bytesTotal }: { bytesDone: number; bytesTotal: number }) =>
        reporter.update(bytesDone, bytesTotal),
    };
    const result = await (adapters.length === 0
      ? exportModel(options)
      : mergeAdapter({ ...options, adapters }));
    reporter.finish();
    if (flags.json) {
      streams.stdout.write(`${JSON.stringify(result)}\n`);
      return;
    }
    const merged = adapters.length === 0 ? '' : `, ${adapters.length} adapter(s) merged`;
    streams.stdout.write(
      `${result.tensors} tensors, ${formatBytes(result.tensorBytes)} in ${result.files.length} file(s), ` +
        `${result.layout} layout${merged}: ${result.directory}\n`,
    );
  } finally {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  }
}
