/**
 * `npm run demo`: FaceLLM from labelled portraits to answers about people it has never seen, on a laptop. The same
 * calls, with another recipe and the published weights, are the real thing; docs/demo.md tells what it measures.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { FaceLlmError } from 'facellm';

import type { Demo } from './demo.js';
import { Interrupted, Interruption } from './interruption.js';
import { type DemoOptions, HELP, parseOptions, UsageError } from './options.js';
import { FACES, LABELS_NAME, labelsCsv, quickRows, readPortraits, ROOT } from './portraits.js';
import { Screen } from './screen.js';
import { FolderError, StageCache } from './stage-cache.js';
import { runStages } from './story.js';

/** Bad usage. */
const USAGE_CODE = 2;
const INTERRUPTED_CODE = 130;

async function packageVersion(): Promise<string> {
  const text = await readFile(join(ROOT, 'package.json'), 'utf8');
  return (JSON.parse(text) as { readonly version: string }).version;
}

async function openDemo(
  options: DemoOptions,
  screen: Screen,
  interruption: Interruption,
): Promise<Demo> {
  const { folder, isQuick, isFresh } = options;
  const cache = await StageCache.open(folder, await packageVersion());
  if (isFresh) await cache.clear();
  const all = await readPortraits(join(FACES, LABELS_NAME));
  const common = { options, screen, cache, interruption };
  if (!isQuick) return { ...common, labels: join(FACES, LABELS_NAME), portraits: all };
  const portraits = quickRows(all);
  const labels = cache.path(LABELS_NAME);
  await writeFile(labels, labelsCsv(portraits));
  return { ...common, labels, portraits };
}

function explain(error: unknown): string {
  if (error instanceof UsageError) return `${error.message}\n\n${HELP}`;
  if (error instanceof FaceLlmError) {
    const details = error.details.map((detail) => `\n  ${detail}`).join('');
    return `${error.summary}${details}\n(${error.code}: docs/errors.md)\n`;
  }
  if (error instanceof FolderError) return `${error.message}\n`;
  if (error instanceof Error && 'syscall' in error) {
    return `${error.message}\ncheck the path, its permissions and the space left, or name another folder by --output\n`;
  }
  // A fault of ours: the place helps whoever reports it.
  return `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`;
}

/** @returns the exit code: 0, 1 for a failure, 2 for bad usage, 130 if interrupted */
export async function main(args: readonly string[]): Promise<number> {
  const screen = new Screen(process.stdout);
  try {
    const options = parseOptions(args, ROOT, process.cwd());
    if (options === undefined) {
      process.stdout.write(HELP);
      return 0;
    }
    using interruption = new Interruption(() =>
      screen.line('Ending with all that is done saved; Ctrl-C again to end at once.'),
    );
    await runStages(await openDemo(options, screen, interruption));
    return 0;
  } catch (error) {
    screen.endProgress();
    if (error instanceof Interrupted) {
      screen.line('Interrupted. The same command goes on from here.');
      return INTERRUPTED_CODE;
    }
    process.stderr.write(`\ndemo: ${explain(error)}`);
    return error instanceof UsageError ? USAGE_CODE : 1;
  }
}
