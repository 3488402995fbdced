/** Where pictures may come from, what becomes of odd ones, and plain errors for bad ones. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { crc32, deflateSync } from 'node:zlib';

import sharp from 'sharp';

import {
  decodeImage,
  type ImageSource,
  limitedSize,
  planTiles,
  tilingOptions,
} from '../../lib/image/index.js';
import type { FaceLlmError } from '../../lib/index.js';
import { checkFields } from '../../lib/options/index.js';

const PHOTO = join(import.meta.dirname, '..', '..', 'examples', 'photo.jpg');
const DEFAULTS = { tileSize: 448, minTiles: 1, maxTiles: 12, useThumbnail: true };

/** A whole, valid PNG of one bit a pixel: a few hundred kilobytes that decode to gigabytes. */
function whitePng(side: number): Buffer {
  const chunk = (kind: string, body: Buffer): Buffer => {
    const tagged = Buffer.concat([Buffer.from(kind, 'latin1'), body]);
    const ends = Buffer.alloc(8);
    ends.writeUInt32BE(body.length, 0);
    ends.writeUInt32BE(crc32(tagged), 4);
    return Buffer.concat([ends.subarray(0, 4), tagged, ends.subarray(4)]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header[8] = 1; // bits; colour type 0, grey
  const row = Buffer.alloc(1 + Math.ceil(side / 8), 0xff).fill(0, 0, 1);
  const pixels = deflateSync(Buffer.concat(Array.from({ length: side }, () => row)), { level: 1 });
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', header),
    chunk('IDAT', pixels),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

describe('images', () => {
  const folder = mkdtempSync(join(tmpdir(), 'facellm-image-'));
  const file = (name: string, bytes: Uint8Array): string => {
    writeFileSync(join(folder, name), bytes);
    return join(folder, name);
  };
  after(() => {
    rmSync(folder, { recursive: true });
  });

  it('come from paths, URLs, data URLs, bytes and raw pixels, with the same pixels and key', async () => {
    const bytes = readFileSync(PHOTO);
    const sources: ImageSource[] = [
      PHOTO,
      pathToFileURL(PHOTO),
      pathToFileURL(PHOTO).href,
      bytes,
      new Uint8Array(bytes),
      `data:image/jpeg;base64,${bytes.toString('base64')}`,
    ];
    const [first, ...others] = await Promise.all(sources.map((source) => decodeImage(source)));
    assert.ok(first);
    for (const other of others) {
      assert.equal(other.key, first.key);
      assert.deepEqual(other.rgb, first.rgb);
    }
    const raw = await decodeImage({ data: first.rgb, width: first.width, height: first.height });
    assert.deepEqual(raw.rgb, first.rgb);
  });

  it('drop alpha without compositing, and replicate grey', async () => {
    const rgba = Uint8Array.of(10, 20, 30, 0, 40, 50, 60, 128);
    const png = await sharp(rgba, { raw: { width: 2, height: 1, channels: 4 } })
      .png()
      .toBuffer();
    for (const source of [png, { data: rgba, width: 2, height: 1, channels: 4 } as const]) {
      assert.deepEqual([...(await decodeImage(source)).rgb], [10, 20, 30, 40, 50, 60]);
    }
    const grey = { data: Uint8Array.of(7, 200), width: 2, height: 1, channels: 1 } as const;
    assert.deepEqual([...(await decodeImage(grey)).rgb], [7, 7, 7, 200, 200, 200]);
  });

  it('that are none give typed errors', async () => {
    const jpeg = readFileSync(PHOTO);
    const bad: readonly (readonly [ImageSource, string])[] = [
      [join(folder, 'absent.jpg'), 'FACELLM_IMAGE_NOT_FOUND'],
      [folder, 'FACELLM_IMAGE_NOT_FOUND'],
      [file('empty.jpg', new Uint8Array()), 'FACELLM_IMAGE_INVALID'],
      [file('text.jpg', Buffer.from('not a picture')), 'FACELLM_IMAGE_INVALID'],
      [file('cut.jpg', jpeg.subarray(0, jpeg.length / 2)), 'FACELLM_IMAGE_INVALID'],
      [new Uint8Array(), 'FACELLM_IMAGE_INVALID'],
      ['https://example.org/face.jpg', 'FACELLM_IMAGE_INVALID'],
      ['data:image/png', 'FACELLM_IMAGE_INVALID'],
      ['data:image/png,%zz', 'FACELLM_IMAGE_INVALID'],
      ['iVBORw0KGgo'.repeat(3000), 'FACELLM_IMAGE_INVALID'],
      [{ data: new Uint8Array(5), width: 2, height: 1 }, 'FACELLM_INVALID_ARGUMENT'],
      [{ data: new Uint8Array(0), width: 0, height: 1 }, 'FACELLM_INVALID_ARGUMENT'],
    ];
    for (const [source, code] of bad) {
      await assert.rejects(decodeImage(source), (error: FaceLlmError) => {
        assert.equal(error.code, code);
        assert.ok(error.message.length < 400, 'a name, not the whole');
        return true;
      });
    }
  });

  it('of another kind are refused by name, with what is nearest', async () => {
    const shared = new Uint8Array(new SharedArrayBuffer(27));
    const bad: readonly (readonly [unknown, RegExp])[] = [
      [null, /^image: expected a path.*received null$/],
      [5, /^image: expected a path.*received 5$/],
      [['a.jpg'], /^image: expected a path/],
      [shared, /^image: expected a Uint8Array that is not in shared memory/],
      [{ data: shared, width: 3, height: 3 }, /^image.data: .*not in shared memory/],
      [{ data: 'x', width: 0, height: 1 }, /^image.data: .*received "x"$/],
      [{ data: new Uint8Array(3), width: 1, hight: 1 }, /^image.height: .*missing$/],
      [{ data: new Uint8Array(1), width: 1, height: 1, chanels: 1 }, /did you mean channels\?$/],
    ];
    for (const [source, expected] of bad) {
      await assert.rejects(decodeImage(source as ImageSource), (error: FaceLlmError) => {
        assert.equal(error.code, 'FACELLM_INVALID_ARGUMENT');
        assert.ok(
          error.details.some((line) => expected.test(line)),
          error.details.join('\n'),
        );
        return true;
      });
    }
  });

  it('a decompression bomb is refused before decoding', async () => {
    const bomb = whitePng(30_000);
    assert.ok(bomb.length < 10e6);
    await assert.rejects(decodeImage(bomb), { code: 'FACELLM_IMAGE_TOO_LARGE' });
    await assert.rejects(decodeImage(PHOTO, { maxPixels: 100 }), {
      code: 'FACELLM_IMAGE_TOO_LARGE',
    });
  });

  it('tiling: off, range, thumbnail, and every wrong option at once', () => {
    const addon = { chooseTileGrid: () => ({ columns: 3, rows: 2 }) };
    assert.equal(planTiles(addon, 9, 6, DEFAULTS).tiles, 7);
    assert.equal(planTiles(addon, 9, 6, DEFAULTS, { thumbnail: false }).tiles, 6);
    assert.equal(planTiles(addon, 9, 6, DEFAULTS, 'off').tiles, 1);
    const wrong = { minTiles: 0, maxTiles: 1.5, thumbnial: true };
    assert.throws(
      () => checkFields(tilingOptions, wrong, 'wrong', 'tiling'),
      (error: FaceLlmError) => {
        assert.deepEqual(error.details, [
          'tiling.minTiles: expected a whole number of 1..4096, received 0',
          'tiling.maxTiles: expected a whole number of 1..4096, received 1.5',
          'tiling.thumbnial: there is no such field; did you mean thumbnail?',
        ]);
        return true;
      },
    );
    assert.throws(() => planTiles(addon, 9, 6, DEFAULTS, { minTiles: 13 }), {
      code: 'FACELLM_INVALID_ARGUMENT',
    });
  });

  it("training's area limit is LLaMA-Factory's", () => {
    assert.deepEqual(limitedSize({ width: 768, height: 768 }), { width: 768, height: 768 });
    assert.deepEqual(limitedSize({ width: 1600, height: 900 }), { width: 1024, height: 576 });
    assert.deepEqual(limitedSize({ width: 16, height: 16 }), { width: 32, height: 32 });
    assert.deepEqual(limitedSize({ width: 10_000_000, height: 1 }).height, 1);
  });
});
