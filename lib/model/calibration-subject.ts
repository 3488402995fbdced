/** What a calibration is fitted on, by the files alone: nothing is loaded. */
import { basename } from 'node:path';

import type { CalibrationSubject } from '../calibration/index.js';
import { readCheckpointConfig, readCheckpointFiles } from '../checkpoint/index.js';
import { readAdapter } from '../lora/index.js';
import { sortedByHash } from './calibrated.js';
import { adapterIdentity, checkpointIdentity } from './fingerprint.js';
import { defaultDtype, type LoadOptions, weightsOf } from './load.js';
import { describeWeights } from './weight-forms.js';

/**
 * Equal to what a model loaded so is to a calibration.
 *
 * @param directory of the checkpoint
 * @param adapters their folders, at their full effect
 * @throws CheckpointError
 */
export async function calibrationSubject(
  directory: string,
  adapters: readonly string[],
  { dtype, weights }: Pick<LoadOptions, 'dtype' | 'weights'>,
): Promise<CalibrationSubject> {
  const config = await readCheckpointConfig(directory);
  const hashes = await Promise.all(
    adapters.map(async (folder) => {
      const { source } = await readAdapter(folder, config.model, 1);
      return { name: basename(folder), hash: await adapterIdentity(source) };
    }),
  );
  return {
    checkpoint: await checkpointIdentity(await readCheckpointFiles(directory)),
    adapters: sortedByHash(hashes),
    dtype: dtype ?? defaultDtype(config),
    weights: describeWeights(weightsOf(config, weights)),
  };
}
