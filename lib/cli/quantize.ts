/** `facellm quantize --model DIR --weights int4 --output DIR`: quantised files; Ctrl-C leaves nothing behind. */
import { type QuantizedForm, quantizeModel } from '../model/index.js';
import { fetchModels } from './download-reporter.js';
import { interruptSignal } from './interrupt.js';
import type { MergeFlags } from './merge.js';
import { type Console, formatBytes, LoadReporter } from './output.js';

export interface QuantizeFlags extends MergeFlags {
  readonly weights: QuantizedForm;
  readonly group?: '32' | '64' | '128';
}

export async function runQuantize(flags: QuantizeFlags, streams: Console): Promise<void> {
  // A second one does not break off the removal of what is half written.
  using interrupt = interruptSignal(() => undefined);
  const reporter = new LoadReporter(streams.stderr, { doing: 'writing', done: 'written' });
  const { model, output, layout, dtype, maxShardSize, adapter: adapters = [], weights } = flags;
  await fetchModels(model, adapters, flags, streams.stderr, interrupt.signal);
  const result = await quantizeModel({
    ...{ model, output, layout, dtype, adapters, weights },
    group: flags.group === undefined ? undefined : (Number(flags.group) as 32 | 64 | 128),
    maxShardBytes: maxShardSize,
    signal: interrupt.signal,
    onProgress: ({ bytesDone, bytesTotal }) => reporter.update(bytesDone, bytesTotal),
  });
  reporter.finish();
  if (flags.json) {
    streams.stdout.write(`${JSON.stringify(result)}\n`);
    return;
  }
  const merged = adapters.length === 0 ? '' : `, ${adapters.length} adapter(s) merged`;
  streams.stdout.write(
    `${result.tensors} tensors, ${formatBytes(result.tensorBytes)} in ${result.files.length} file(s), ` +
      `${weights}, ${result.layout} layout${merged}: ${result.directory}\n` +
      `what it lost on your data: facellm compare --model ${result.directory} --against ${model} --data ... --output ...\n`,
  );
}
