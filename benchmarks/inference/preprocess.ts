/** Decoding and cutting of one photograph: JPEG bytes to uint8 tiles. */
import { readFile } from 'node:fs/promises';

import { loadAddon } from '../../lib/binding/load.js';
import { decodeImage, planTiles } from '../../lib/image/index.js';
import type { Row } from './rows.js';

export async function createPreprocessRow(photo: string, tileSize: number): Promise<Row> {
  const bytes = await readFile(photo);
  const addon = loadAddon();
  return {
    name: 'JPEG to tiles (12 + thumbnail at most)',
    run: async () => {
      const start = performance.now();
      const image = await decodeImage(bytes);
      const defaults = { tileSize, minTiles: 1, maxTiles: 12, useThumbnail: true };
      const plan = planTiles(addon, image.width, image.height, defaults);
      await addon.tilePixels({ ...image, ...plan }, tileSize).promise;
      return performance.now() - start;
    },
  };
}
