/** What people see of a download: what it is, how far, how fast, how long still. */
import { type DownloadEvent, downloadMissing, type DownloadProgress } from '../download/index.js';
import { formatLeft, StatusLine } from '../progress/index.js';
import { type Console, formatBytes } from './output.js';

/** More than these are counted only. */
const MOST_LISTED = 20;

export class DownloadReporter {
  readonly #line: StatusLine;
  readonly #lists: boolean;

  /** @param options lists: files with their sizes and hashes before they are fetched */
  constructor(stderr: Console['stderr'], { lists }: { readonly lists: boolean }) {
    this.#line = new StatusLine({ stream: stderr, intervalSeconds: 5 });
    this.#lists = lists;
  }

  show(event: DownloadEvent): void {
    if (event.type === 'plan') this.#plan(event);
    if (event.type === 'offline') {
      this.#line.note(`the hub is not asked (${event.reason}): taken from the cache as it is`);
    }
    if (event.type === 'wait') {
      const { reason, seconds } = event;
      this.#line.note(
        seconds === undefined ? reason : `${reason}; again in ${seconds.toFixed(1)} s`,
      );
    }
    if (event.type === 'progress' && this.#line.isDue) this.#line.show(formatDownload(event));
    if (event.type === 'unpack' && this.#line.isDue) {
      this.#line.show(`unpacking: ${event.filesDone}/${event.filesTotal} files`);
    }
  }

  finish(): void {
    this.#line.erase();
  }

  #plan(plan: Extract<DownloadEvent, { readonly type: 'plan' }>): void {
    const { source, license, files, bytesTotal, bytesHere, directory } = plan;
    // A model that is all here already is what a command is about, not what it has to tell.
    if (!this.#lists && bytesHere === bytesTotal) return;
    const here = bytesHere > 0 ? `, ${formatBytes(bytesHere)} of it here already` : '';
    this.#line.note(source);
    this.#line.note(`licence: ${license ?? 'its page states none'}`);
    if (this.#lists) {
      for (const { path, size, hash } of files.slice(0, MOST_LISTED)) {
        this.#line.note(`  ${path}  ${formatBytes(size)}  ${hash}`);
      }
      if (files.length > MOST_LISTED) this.#line.note(`  and ${files.length - MOST_LISTED} more`);
    }
    this.#line.note(`${files.length} file(s), ${formatBytes(bytesTotal)}${here}, to ${directory}`);
  }
}

/** `downloading: 45 % of 1.9 GiB, 3/12 files, 50.2 MiB/s, 0:00:20 left`. */
export function formatDownload(progress: DownloadProgress): string {
  const { bytesDone, bytesTotal, filesDone, filesTotal, bytesPerSecond, secondsLeft } = progress;
  const percent = bytesTotal === 0 ? 100 : Math.floor((100 * bytesDone) / bytesTotal);
  return (
    `downloading: ${percent} % of ${formatBytes(bytesTotal)}, ${filesDone}/${filesTotal} files, ` +
    `${formatBytes(Math.round(bytesPerSecond))}/s, ${formatLeft(secondsLeft)}`
  );
}

export interface FetchFlags {
  readonly download?: boolean | undefined;
  readonly subfolder?: string | undefined;
}

/** With `--download`: what the cache lacks of a command's model and of whatever else it names by hub ids. */
export async function fetchModels(
  model: string | undefined,
  others: readonly (string | undefined)[],
  { download, subfolder }: FetchFlags,
  stderr: Console['stderr'],
  signal?: AbortSignal,
): Promise<void> {
  if (download !== true) return;
  const reporter = new DownloadReporter(stderr, { lists: false });
  const onEvent = reporter.show.bind(reporter);
  try {
    if (model !== undefined) await downloadMissing(model, { subfolder, signal, onEvent });
    for (const other of others) {
      if (other !== undefined) await downloadMissing(other, { signal, onEvent });
    }
  } finally {
    reporter.finish();
  }
}
