/** Before a model is loaded: what of it the hub has and the cache has not. */
import { resolve } from 'node:path';

import { isHubId, kindOfPath } from '../checkpoint/index.js';
import { downloadRepository } from './download-repository.js';
import type { OnDownload } from './events.js';

/** What checkpoints and adapters are read from; other frameworks' weights and training states stay where they are. */
const READ = ['*.json', '*.safetensors', '*.txt', '*.jinja', '*LICENSE*', '*NOTICE*', '*README.md'];

/**
 * Fetches what loading `model` reads, if it is a hub id; a folder is left alone. Asks the hub each time, so that a
 * branch that has moved on is followed; where the hub cannot be reached, what is in the cache is taken.
 */
export async function downloadMissing(
  model: string,
  options: {
    readonly revision?: string | undefined;
    readonly subfolder?: string | undefined;
    readonly signal?: AbortSignal | undefined;
    readonly onEvent?: OnDownload | undefined;
  } = {},
): Promise<void> {
  if (!isHubId(model) || (await kindOfPath(resolve(model))) !== 'absent') return;
  const { subfolder, ...rest } = options;
  const include = subfolder ? READ.map((pattern) => `${subfolder}/${pattern}`) : READ;
  await downloadRepository({ type: 'model', id: model }, { ...rest, include, env: process.env });
}
