/**
 * One short answer of some rows twice, or one picture thrice, and nothing else: for a profiler that looks at every kernel.
 *
 *     ncu --target-processes all --graph-profiling node --clock-control none --metrics gpu__time_duration.sum --csv --log-file FILE \
 *       node --import=./test/support/tsx.mjs benchmarks/gpu/profile.ts CHECKPOINT decode 1      # or picture
 */
import { loadAddon } from '../../lib/binding/load.js';
import { readCheckpointConfig } from '../../lib/checkpoint/index.js';
import { decodeImage, planTiles } from '../../lib/image/index.js';
import { resolveWeights } from '../../lib/model/index.js';
import { GREEDY } from '../../test/support/generate.js';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

const [directory = '', what = 'decode', rowsText = '1'] = process.argv.slice(2);
const config = await readCheckpointConfig(directory);
const addon = loadAddon();
const model = await addon.loadModel(
  {
    ...{ config: config.model, preprocessing: config.preprocessing, weightMap: [] },
    ...{ files: [join(directory, 'model.safetensors')], device: 'cuda', dtype: 'bf16' },
    weights: resolveWeights('stored', config.model.text),
    ...{ mmap: true, imageCacheBytes: 0, prefixCacheBytes: 2 ** 32 },
    ...{ kvBytes: 2 ** 33, maxRows: 256, maxContext: 8192, deterministic: false },
  },
  () => {},
).promise;
const ids = (n: number) =>
  Int32Array.from({ length: n }, () => 100 + Math.floor(Math.random() * 900));
if (what === 'decode') {
  const rows = Number(rowsText);
  const prompts = Array.from({ length: rows }, () => ids(321));
  for (let i = 0; i < 2; i++) {
    await Promise.all(
      prompts.map(
        (p) =>
          model.generate({
            prompt: { ids: p, images: [] },
            adapters: [],
            sampling: GREEDY,
            rows: 1,
            firstRow: 0,
            maxNewTokens: 5,
            eosIds: [],
            usesPrefixCache: true,
            isMasked: false,
          }).promise,
      ),
    );
  }
} else {
  const image = await decodeImage(
    await readFile(join(import.meta.dirname, '..', '..', 'examples', 'photo.jpg')),
  );
  const plan = planTiles(addon, image.width, image.height, {
    tileSize: config.tileSize,
    minTiles: 1,
    maxTiles: 1,
    useThumbnail: true,
  });
  const { imageTokenId, imageSeqLength } = config.model;
  const all = ids(60 + imageSeqLength).fill(imageTokenId, 0, imageSeqLength);
  for (let i = 0; i < 3; i++) {
    await model.generate({
      prompt: { ids: all, images: [{ ...image, ...plan }] },
      adapters: [],
      sampling: GREEDY,
      rows: 1,
      firstRow: 0,
      maxNewTokens: 1,
      eosIds: [],
      usesPrefixCache: false,
      isMasked: false,
    }).promise;
  }
}
await model.dispose().promise;
