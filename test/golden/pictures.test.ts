/** Odd kinds of picture files give Pillow's pixels, bit for bit (scripts/export-image-fixture.py). */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { decodeImage } from '../../lib/image/index.js';

const FOLDER = join(import.meta.dirname, '..', 'fixtures', 'pictures');

interface Expected {
  readonly pillow: string;
  readonly files: Readonly<
    Record<string, { mode: string; width: number; height: number; rgb: string }>
  >;
}

describe("golden: Pillow's convert('RGB')", () => {
  const { files } = JSON.parse(readFileSync(join(FOLDER, 'expected.json'), 'utf8')) as Expected;

  it('covers every file of the folder, CMYK and 16 bits among them', () => {
    const present = readdirSync(FOLDER).filter((name) => !name.endsWith('.json'));
    assert.deepEqual(Object.keys(files).sort(), present.sort());
    const modes = new Set(Object.values(files).map(({ mode }) => mode));
    for (const mode of ['CMYK', 'P', 'I;16', 'RGB', 'RGBA', 'LA', '1']) assert.ok(modes.has(mode));
  });

  for (const [name, { mode, width, height, rgb }] of Object.entries(files)) {
    it(`${name} (${mode})`, async () => {
      const decoded = await decodeImage(join(FOLDER, name));
      assert.deepEqual([decoded.width, decoded.height], [width, height]);
      assert.deepEqual([...decoded.rgb], [...Buffer.from(rgb, 'base64')]);
    });
  }
});
