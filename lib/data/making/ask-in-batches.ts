import type { OnlineContext, OnlineOutcome } from './ask-online.js';
import type { GenerationRun } from './generate-dataset.js';
import type { BatchOptions } from './options.js';
export function askInBatches(
  _: OnlineContext & { run: GenerationRun },
  __: BatchOptions,
): Promise<OnlineOutcome> {
  throw new Error('x');
}
