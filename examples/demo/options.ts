/** What the demo is told on its command line, and what follows from it. */
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

export interface DemoOptions {
  /** Absolute folder of everything that the demo writes. */
  readonly folder: string;
  readonly isQuick: boolean;
  readonly isFresh: boolean;
  /** Trains on all people to the last update, holding nobody out. */
  readonly isFullRun: boolean;
  readonly seed: number;
  /** Undefined: as many as the machine has cores. */
  readonly threads: number | undefined;
}

export const HELP = `npm run demo [-- OPTIONS]

Teaches a small vision-language model from 658 portraits on this machine's processor, scores it on people it has
never seen, and writes a report. Nothing is downloaded. What is done stays done: the same command goes on.

  --quick        a smoke test of the same path in under a minute: the model learns nothing useful
  --output DIR   folder for data, model and report (default: demo)
  --seed N       of weights, order and augmentation (default: 42)
  --threads N    of the engine (default: all cores)
  --full-run     trains on all people (default: a tenth of them is held out, and asked on the way)
  --fresh        starts over
  --help         this text
`;

/** A command line that cannot be meant. */
export class UsageError extends Error {}

function wholeNumber(name: string, text: string | undefined, least: number): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= least) return value;
  throw new UsageError(`--${name}: expected a whole number from ${least}, got "${text}"`);
}

/**
 * @param root of the working copy, where the default folder lies
 * @param start folder that --output is relative to
 * @returns undefined if only help is wanted
 * @throws UsageError
 */
export function parseOptions(
  args: readonly string[],
  root: string,
  start: string,
): DemoOptions | undefined {
  const parse = () =>
    parseArgs({
      args: [...args],
      options: {
        quick: { type: 'boolean', default: false },
        fresh: { type: 'boolean', default: false },
        'full-run': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
        output: { type: 'string' },
        seed: { type: 'string' },
        threads: { type: 'string' },
      },
    });
  let values: ReturnType<typeof parse>['values'];
  try {
    ({ values } = parse());
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
  if (values.help) return undefined;
  if (values.output === '') throw new UsageError('--output: expected the name of a folder');
  const folder = values.output === undefined ? join(root, 'demo') : resolve(start, values.output);
  return {
    // A smoke test never touches what a real run made.
    folder: values.quick ? join(folder, 'quick') : folder,
    isQuick: values.quick,
    isFresh: values.fresh,
    isFullRun: values['full-run'],
    seed: wholeNumber('seed', values.seed, 0) ?? 42,
    threads: wholeNumber('threads', values.threads, 1),
  };
}
