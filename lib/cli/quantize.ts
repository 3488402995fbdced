/** `facellm quantize --model DIR --weights int4 --output DIR`: quantised files; Ctrl-C leaves nothing behind. */
import { type QuantizedForm, quantizeModel } from '../model/index.js';
import { fetchModels } from './download-reporter.js';
import { interruptSignal } from './interrupt.js';
import { type MergeFlags, tellExported } from './merge.js';
import { type Console, LoadReporter, warningText } from './output.js';

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
    ...{ model, output, layout, dtype, adapters, weights, ontoQuantised: flags.ontoQuantised },
    group: flags.group === undefined ? undefined : (Number(flags.group) as 32 | 64 | 128),
    maxShardBytes: maxShardSize,
    signal: interrupt.signal,
    onWarning: (warning) => streams.stderr.write(warningText(warning)),
    onProgress: ({ bytesDone, bytesTotal }) => reporter.update(bytesDone, bytesTotal),
  });
  reporter.finish();
  tellExported(result, { ...flags, form: `${weights}, ` }, streams);
  if (flags.json) return;
  streams.stdout.write(
    `what it lost on your data: facellm compare --model ${result.directory} --against ${model} --data ... --output ...\n`,
  );
}
