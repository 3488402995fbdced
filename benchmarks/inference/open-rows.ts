/** The rows that ask a loaded model, and the model. */
import type { WeightForm } from '../../lib/model/index.js';
import { loadParts, type ModelParts } from '../../lib/model/load.js';
import { createRows, type Row } from './rows.js';

export interface OpenRowsOptions {
  readonly model: string;
  readonly dtype: string;
  readonly device: string;
  readonly threads: string;
  readonly weights?: WeightForm;
}

export async function openRows({
  model,
  dtype: name,
  device,
  threads,
  weights,
}: OpenRowsOptions): Promise<{
  readonly parts: ModelParts;
  readonly rows: readonly Row[];
}> {
  const dtype = name === 'fp32' ? 'fp32' : 'bf16';
  const parts = await loadParts(model, {
    dtype,
    device,
    weights,
    threads: Number(threads),
    // Every run computes; rows whose prompts are to be known ask for it.
    imageCacheBytes: 0,
    prefixCacheBytes: 2 ** 30,
  });
  const { native, config } = parts;
  const rows = createRows({ native, directory: model, dtype, tileSize: config.tileSize, device });
  return { parts, rows };
}
