/** What a card says of the model that others are made from. */
import { basename, dirname, join, resolve } from 'node:path';

import { type CardFacts, readFrontMatter } from '../card/index.js';
import { isHubId, kindOfPath, readCheckpointFiles } from '../checkpoint/index.js';
import { readOptionalText, sampledWeightsHash } from '../files/index.js';

/** `models--org--name/snapshots/COMMIT` of the hub's cache to `org/name`. */
function hubIdOf(directory: string): string | undefined {
  const repository = basename(dirname(dirname(resolve(directory))));
  const [, organisation, name] = /^models--(.+?)--(.+)$/.exec(repository) ?? [];
  return name === undefined ? undefined : `${organisation}/${name}`;
}

/** The licence that a README.md states in its front matter; undefined where there is none. */
export async function statedLicense(directory: string): Promise<string | undefined> {
  const files = { unreadable: 'FACELLM_DATA_INVALID', invalid: 'FACELLM_DATA_INVALID' } as const;
  // A page in another encoding states nothing that we could repeat.
  const text = await readOptionalText(join(directory, 'README.md'), files).catch(() => undefined);
  const { license, license_name: name } = readFrontMatter(text ?? '');
  const stated = license === 'other' && typeof name === 'string' ? name : license;
  return typeof stated === 'string' && stated !== '' ? stated : undefined;
}

/**
 * @param named as the user named it: a folder or a hub id
 * @param directory where it lies
 */
export async function baseFacts(named: string, directory: string): Promise<CardFacts['base']> {
  const isFolder = (await kindOfPath(named)) !== 'absent';
  const id = isFolder || !isHubId(named) ? hubIdOf(directory) : named;
  const license = await statedLicense(directory);
  const { dataFiles } = await readCheckpointFiles(directory);
  return {
    name: id ?? basename(resolve(directory)),
    isHubId: id !== undefined,
    weights: await sampledWeightsHash(dataFiles),
    ...(license === undefined ? {} : { license }),
  };
}
