/** Grids, both integer resizes and decoding against the reference, bit for bit. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { loadAddon } from '../../lib/binding/load.js';
import { decodeImage } from '../../lib/image/index.js';
import { GOLDEN } from '../support/golden.js';
import { readSafetensors, type StoredTensor } from '../support/safetensors.js';

interface Tiling {
  readonly width: number;
  readonly height: number;
  readonly max_tiles: number;
  readonly columns: number;
  readonly rows: number;
}

/** `[3, h, w]` to `[h, w, 3]`. */
function interleave({ data, shape }: StoredTensor): Uint8Array {
  const area = (shape[1] ?? 0) * (shape[2] ?? 0);
  return Uint8Array.from({ length: 3 * area }, (_, i) => Number(data[(i % 3) * area + Math.floor(i / 3)]));
}

describe('golden: images', () => {
  it('grids', () => {
    const { rows } = JSON.parse(readFileSync(join(GOLDEN, 'infer-300m/tiling.json'), 'utf8')) as {
      readonly rows: readonly Tiling[];
    };
    assert.ok(rows.length > 50);
    for (const { width, height, max_tiles, columns, rows: tiles } of rows) {
      const grid = loadAddon().chooseTileGrid(width, height, 448, 1, max_tiles);
      assert.deepEqual(grid, { columns, rows: tiles }, `${width} x ${height}, at most ${max_tiles}`);
    }
  });

  it("PyTorch's and Pillow's resize", async () => {
    const stored = readSafetensors(join(GOLDEN, 'infer-300m/resize.safetensors'));
    for (const index of [0, 1]) {
      const source = stored.get(`${index}.source`);
      const torch = stored.get(`${index}.torch_uint8`);
      const pillow = stored.get(`${index}.pillow`);
      assert.ok(source && torch && pillow);
      const rgb = interleave(source);
      const [, height = 0, width = 0] = source.shape;
      const image = { key: '', rgb, width, height, columns: 1, rows: 1, hasThumbnail: false };
      assert.deepEqual(await loadAddon().tilePixels(image, 56).promise, torch.data);
      const resized = await loadAddon().resizePillow(rgb, width, height, 56, 56).promise;
      assert.deepEqual(resized, interleave(pillow));
    }
  });

  it('a 30,000-pixel side, wrong lengths and empty sizes are typed errors', async () => {
    const addon = loadAddon();
    const image = { key: '', rgb: new Uint8Array(12), width: 2, height: 2, columns: 1, rows: 1, hasThumbnail: false };
    await assert.rejects(addon.tilePixels({ ...image, width: 3 }, 56).promise, { code: 'FACELLM_INVALID_ARGUMENT' });
    await assert.rejects(addon.tilePixels({ ...image, columns: 4000 }, 448).promise, { code: 'FACELLM_IMAGE_TOO_LARGE' });
    await assert.rejects(addon.resizePillow(image.rgb, 2, 2, 30_000, 30_000).promise, { code: 'FACELLM_IMAGE_TOO_LARGE' });
    assert.throws(() => addon.chooseTileGrid(0, 5, 448, 1, 12), { code: 'FACELLM_INVALID_ARGUMENT' });
    assert.throws(() => addon.chooseTileGrid(5, 5, 448, 9, 3), { code: 'FACELLM_INVALID_ARGUMENT' });
  });

  it('a grid of tiles that is no grid is told, whatever number a caller gives', async () => {
    const image = { key: '', rgb: new Uint8Array(12), width: 2, height: 2, columns: 1, rows: 1, hasThumbnail: false };
    for (const name of ['columns', 'rows'] as const) {
      // Beyond an int, and beyond what may be cast to one at all.
      for (const value of [NaN, Infinity, 1e20, 2 ** 32 + 1, -(2 ** 32) + 1, -1, 0, 1.5, 4097, '1', null, undefined, 1n]) {
        const wrong = { ...image, [name]: value as number };
        const isWhole = typeof value === 'number' && Number.isSafeInteger(value);
        await assert.rejects(loadAddon().tilePixels(wrong, 56).promise, (error: { code: string; details: string[] }) => {
          assert.equal(error.code, 'FACELLM_INVALID_ARGUMENT');
          const text = isWhole ? 'image: expected 1 to 4096 columns and rows of tiles' : `image.${name}: expected a whole number`;
          assert.ok(error.details.some((line) => line.startsWith(text)), `${String(value)}: ${error.details.join('\n')}`);
          return true;
        });
      }
    }
  });

  it('a decoded PNG keeps its pixels', async () => {
    const { rgb, width, height } = await decodeImage(join(GOLDEN, 'infer-300m/images/face_square_0.png'));
    assert.deepEqual([width, height, rgb.length], [48, 48, 48 * 48 * 3]);
  });
});
