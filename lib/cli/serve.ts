/** `facellm serve --model DIR`: runs until it is told to end, then lets who is in finish. */
import type { Command } from 'commander';

import { loadCalibration } from '../calibration/index.js';
import { InvalidArgumentError } from '../errors.js';
import { readDataText } from '../files/index.js';
import { describeWeights } from '../model/index.js';
import { createKey, type RunningServer, serve } from '../serving/index.js';
import { onInterrupt } from './interrupt.js';
import { type Console, formatBytes, LoadReporter } from './output.js';
import { serveOptions, withConfig } from './serve-config.js';
import type { ServeFlags } from './serve-options.js';

async function readKeys(file: string | undefined): Promise<readonly string[] | undefined> {
  if (file !== undefined) {
    const { text } = await readDataText(
      file,
      (code) => `the API keys ${file} cannot be read (${code})`,
    );
    return text.split(/\r?\n/);
  }
  const given = process.env['FACELLM_API_KEYS'];
  return given === undefined ? undefined : given.split(/\s+/).filter((line) => line !== '');
}

/** @returns the exit code */
export async function runServe(
  given: ServeFlags,
  command: Command,
  streams: Console,
): Promise<number> {
  const flags = await withConfig(given, command);
  if (flags.model === undefined) {
    throw new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', 'the server cannot be started so', {
      details: ['--model: expected a checkpoint folder or a hub id, here or in the configuration'],
    });
  }
  const stopLoading = new AbortController();
  let end: (code: number) => void = () => stopLoading.abort();
  let asked = 0;
  // The second time it is meant; a supervisor knows the code of the signal.
  const again = (): void => process.exit(asked === 15 ? 143 : 130);
  const note = (signal: number) => (): void => void (asked = signal);
  const onTerm = note(15);
  const onInt = note(2);
  process.on('SIGTERM', onTerm).on('SIGINT', onInt);
  using _listening = onInterrupt(() => end(0), again);
  const reporter = new LoadReporter(streams.stderr);
  try {
    const options = serveOptions(flags, await readKeys(flags.apiKeys));
    const calibration = await Promise.all((flags.calibration ?? []).map(loadCalibration));
    const server = await serve({
      ...options,
      calibration,
      model: flags.model,
      load: {
        ...options.load,
        onProgress: ({ bytesDone, bytesTotal }) => reporter.update(bytesDone, bytesTotal),
        onWarning: ({ message, remedy }) =>
          streams.stderr.write(`warning: ${message} (${remedy})\n`),
      },
      onLog: (line) => streams.stderr.write(line),
      onFatal: (error) => {
        const reason = error instanceof Error ? error.message : String(error);
        streams.stderr.write(`facellm: the model cannot be used any more: ${reason}\n`);
        end(1);
      },
      signal: stopLoading.signal,
    });
    reporter.finish();
    const ended = new Promise<number>((resolve) => (end = resolve));
    if (stopLoading.signal.aborted) end(0);
    streams.stdout.write(`${server.url}\n`);
    streams.stderr.write(describe(server, options));
    const code = await ended;
    streams.stderr.write('ending: who is in may finish; once more ends at once\n');
    await server.close();
    return code;
  } catch (error) {
    if (stopLoading.signal.aborted) return asked === 15 ? 143 : 130;
    throw error;
  } finally {
    process.off('SIGTERM', onTerm).off('SIGINT', onInt);
  }
}

/** What runs, on what, within which limits, and what is off. */
function describe(
  { url, model, models }: RunningServer,
  options: ReturnType<typeof serveOptions>,
): string {
  const { device, dtype, parameterBytes, weights } = model.info;
  const off = [
    ...(options.apiKeys === undefined ? ['keys (anybody who reaches it may ask)'] : []),
    options.imageHosts === undefined ? 'pictures by address or path' : 'pictures by path',
    ...((options.corsOrigins ?? []).length === 0 ? ['pages of other origins'] : []),
  ];
  return [
    `serving at ${url}`,
    `  models    ${models.join(', ')}`,
    `  engine    ${device}, ${dtype}, ${formatBytes(parameterBytes)} of weights (${describeWeights(weights)}), ${model.maxContext} tokens a request`,
    `  off       ${off.join('; ')}`,
    `  try       curl ${url}/v1/models`,
    '',
  ].join('\n');
}

export interface KeygenFlags {
  readonly rights?: readonly string[];
  readonly json?: boolean;
}

/** `facellm keygen NAME`: the key for the client, once, and the line for the server's file. */
export function runKeygen(name: string, flags: KeygenFlags, streams: Console): void {
  const { key, line } = createKey(name, flags.rights);
  streams.stdout.write(
    flags.json === true ? `${JSON.stringify({ key, line })}\n` : `${key}\n${line}\n`,
  );
}
