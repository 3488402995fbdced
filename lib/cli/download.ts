/** `facellm download NAME`: what it is and how large, then its progress on stderr; its folder on stdout. */
import { download, type DownloadOptions, type DownloadResult } from '../download/index.js';
import { DownloadReporter } from './download-reporter.js';
import { interruptSignal } from './interrupt.js';
import type { OutputFlags } from './options.js';
import { type Console, formatBytes } from './output.js';

export interface DownloadFlags
  extends
    OutputFlags,
    Pick<DownloadOptions, 'revision' | 'include' | 'output' | 'from' | 'dryRun'> {}

export async function runDownload(
  what: string,
  flags: DownloadFlags,
  streams: Console,
): Promise<void> {
  using interrupt = interruptSignal();
  const { revision, include, output, from, dryRun } = flags;
  const reporter = new DownloadReporter(streams.stderr, { lists: true });
  const { signal } = interrupt;
  const onEvent = reporter.show.bind(reporter);
  let result: DownloadResult;
  try {
    result = await download(what, { revision, include, output, from, dryRun, signal, onEvent });
  } catch (error) {
    reporter.finish();
    if (signal.aborted)
      streams.stderr.write('ended; what has come is kept, the same command goes on\n');
    throw error;
  }
  reporter.finish();
  if (flags.json) {
    streams.stdout.write(`${JSON.stringify(result)}\n`);
    return;
  }
  streams.stdout.write(`${result.directory}\n`);
  if (dryRun !== true) streams.stderr.write(`${describe(result)}\n`);
}

function describe(result: DownloadResult): string {
  if (result.kind === 'named') return `next: ${result.next}`;
  if (result.isOffline) return 'as the cache holds it';
  const { files, bytes, bytesFetched } = result;
  const here = `${files.length} file(s), ${formatBytes(bytes)}`;
  if (bytesFetched === 0) return `${here}, all of it here already`;
  return `${here}; ${formatBytes(bytesFetched)} fetched now, hashes checked`;
}
