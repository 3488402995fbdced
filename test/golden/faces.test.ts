/** The detector's networks against other programs that run the same files (scripts/export-faces-fixture.py). */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { builtInDetector } from '../../lib/faces/detector.js';
import { decodeImage } from '../../lib/image/index.js';

const FOLDER = join(import.meta.dirname, '..', 'fixtures', 'faces');
const WIDTH = 17;

interface Case {
  readonly file: string;
  readonly network: 'short' | 'full';
  readonly by: string;
  readonly count: number;
  readonly rows: readonly number[];
  readonly values: string;
}

describe("the detector's networks", () => {
  const cases = JSON.parse(readFileSync(join(FOLDER, 'expected.json'), 'utf8')) as readonly Case[];

  it('give five portraits the numbers that onnxruntime and torch give them', async () => {
    const { native } = await builtInDetector();
    assert.equal(cases.length, 5);
    for (const { file, network, by, count, rows, values } of cases) {
      const picture = await decodeImage(join(FOLDER, file));
      const ours = await native.rows(picture, network === 'full').promise;
      assert.equal(ours.length, count * WIDTH, file);
      const bytes = Buffer.from(values, 'base64');
      let worst = 0;
      rows.forEach((row, i) => {
        for (let k = 0; k < WIDTH; k++) {
          const expected = bytes.readFloatLE(4 * (i * WIDTH + k));
          worst = Math.max(worst, Math.abs((ours[row * WIDTH + k] ?? NaN) - expected));
        }
      });
      assert.ok(worst <= 1e-3, `${file}: ${worst} away from ${by}`);
    }
  });
});
