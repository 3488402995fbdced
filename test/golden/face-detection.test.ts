/**
 * Faces found in the licensed portraits of examples/faces; and, where the larger collection is there
 * (FACELLM_FACES, or ../shared/data/faces), the recall that docs/faces.md tells, as lower bounds.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import sharp, { type Sharp } from 'sharp';

import { detectFaces, type DetectedFaces, type FaceRecord, type RawImage } from '../../lib/index.js';
import { mapBounded } from '../../lib/jobs/index.js';
import { skip } from '../support/skip.js';

const ROOT = join(import.meta.dirname, '..', '..');
const EXAMPLES = join(ROOT, 'examples', 'faces');
const COLLECTION =
  process.env['FACELLM_FACES'] ?? join(ROOT, '..', 'shared', 'data', 'faces');

const picturesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(jpg|png)$/.test(name))
    .sort()
    .map((name) => join(folder, name));

const detectAll = (files: readonly string[]): Promise<DetectedFaces[]> =>
  mapBounded(files, 4, (file) => detectFaces(file));

const known = new Map<string, Promise<DetectedFaces[]>>();

/** All faces of a folder of the collection; several tests look at the same ones. */
function detectIn(folder: string): Promise<DetectedFaces[]> {
  const found = known.get(folder) ?? detectAll(picturesIn(join(COLLECTION, folder)));
  known.set(folder, found);
  return found;
}

async function rawOf(picture: Sharp): Promise<RawImage> {
  const { data, info } = await picture.removeAlpha().raw().toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height, channels: 3 };
}

/** n x n portraits in one picture. */
async function mosaic(files: readonly string[], n: number, cell: number): Promise<RawImage> {
  const tiles = await Promise.all(
    files.slice(0, n * n).map(async (file, i) => ({
      input: await sharp(file).resize(cell, cell, { fit: 'cover' }).toColourspace('srgb').toBuffer(),
      left: (i % n) * cell,
      top: Math.floor(i / n) * cell,
    })),
  );
  const size = n * cell;
  const canvas = sharp({ create: { width: size, height: size, channels: 3, background: 'black' } });
  return rawOf(sharp(await canvas.composite(tiles).png().toBuffer()));
}

/** How many cells hold exactly one face, and how many faces lie on no face's place. */
function count({ faces }: DetectedFaces, n: number, cell: number) {
  const cells = new Array<number>(n * n).fill(0);
  for (const { box } of faces) {
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2].map((v) => Math.floor(v / cell));
    const place = (y ?? 0) * n + (x ?? 0);
    cells[place] = (cells[place] ?? 0) + 1;
  }
  return { found: cells.filter((some) => some > 0).length, twice: cells.filter((some) => some > 1).length };
}

const eyeDistance = ({ points }: FaceRecord): number =>
  Math.hypot(points.leftEye.x - points.rightEye.x, points.leftEye.y - points.rightEye.y);

describe('faces of real pictures', function () {
  this.timeout(600_000);
  const portraits = picturesIn(EXAMPLES);

  it('are found in every portrait of the examples, one in each', async () => {
    const results = await detectAll(portraits);
    assert.deepEqual(
      results.map(({ found }, i) => [portraits[i], found]).filter(([, found]) => found !== 1),
      [],
    );
  });

  it('are found in mosaics, small ones in parts of the picture', async () => {
    for (const [n, cell, smallFaces, least] of [
      [2, 224, false, 4],
      [3, 224, false, 9],
      [4, 160, false, 14],
      [8, 96, true, 62],
    ] as const) {
      const picture = await mosaic(portraits.slice(3), n, cell);
      const result = await detectFaces(picture, { which: 'each', smallFaces });
      const { found, twice } = count(result, n, cell);
      assert.ok(found >= least && twice === 0, `${n} x ${n}: ${found} found, ${twice} twice`);
    }
  });

  it('are not found where there are none', async () => {
    const noise = Uint8Array.from({ length: 300 * 200 * 3 }, (_, i) => (i * 2654435761) >>> 24);
    for (const picture of [
      { data: noise, width: 300, height: 200 },
      { data: new Uint8Array(3), width: 1, height: 1 },
      { data: new Uint8Array(3 * 4000), width: 1, height: 4000 },
      { data: new Uint8Array(3 * 64 * 64), width: 64, height: 64 },
    ]) {
      const { found, chips } = await detectFaces(picture, { which: 'each', smallFaces: true });
      assert.deepEqual([found, chips.length], [0, 0]);
    }
    // Portraits whose face is painted over.
    const blanked = await mapBounded(portraits.slice(0, 60), 4, async (file) => {
      const { faces, width, height } = await detectFaces(file);
      const { x, y, width: w, height: h } = faces[0]?.box ?? assert.fail(file);
      const clip = (value: number, most: number): number => Math.round(Math.min(Math.max(value, 0), most));
      const [left, top] = [clip(x - w / 4, width - 1), clip(y - h / 3, height - 1)];
      const [right, bottom] = [clip(x + 1.25 * w, width), clip(y + 1.3 * h, height)];
      const patch = { width: right - left, height: bottom - top, channels: 3 as const };
      const input = await sharp({ create: { ...patch, background: '#808080' } }).png().toBuffer();
      const painted = sharp(file).toColourspace('srgb').composite([{ input, left, top }]);
      return detectFaces(await rawOf(sharp(await painted.png().toBuffer())));
    });
    assert.equal(blanked.filter(({ found }) => found > 0).length, 0);
  });

  it('have their points right when the head leans, and at any angle where quarter turns are tried', async () => {
    const file = portraits[5] ?? '';
    const upright = await detectFaces(file);
    const face = upright.faces[0] ?? assert.fail();
    const { width, height } = upright;
    for (const [degrees, orientation] of [
      [30, 'exif'],
      [-45, 'exif'],
      [90, 'auto'],
      [180, 'auto'],
      [270, 'auto'],
    ] as const) {
      const turned = await rawOf(sharp(file).toColourspace('srgb').rotate(degrees, { background: 'black' }));
      const result = await detectFaces(turned, { orientation });
      const found = result.faces[0] ?? assert.fail(`${degrees}: no face`);
      const angle = (degrees * Math.PI) / 180;
      for (const name of ['rightEye', 'leftEye', 'mouth'] as const) {
        const x = face.points[name].x - width / 2;
        const y = face.points[name].y - height / 2;
        const expected = {
          x: Math.cos(angle) * x - Math.sin(angle) * y + turned.width / 2,
          y: Math.sin(angle) * x + Math.cos(angle) * y + turned.height / 2,
        };
        const { x: atX, y: atY } = found.points[name];
        const error = Math.hypot(atX - expected.x, atY - expected.y) / eyeDistance(face);
        assert.ok(error <= 0.12, `${degrees} degrees: ${name} is ${error.toFixed(3)} eye distances away`);
      }
      const difference = ((((found.roll - face.roll - degrees) % 360) + 540) % 360) - 180;
      assert.ok(Math.abs(difference) < 8, `${degrees} degrees: roll differs by ${difference}`);
    }
  });

  it('are the same, bit for bit, alone, in company and again; a threshold moves no box', async () => {
    const files = portraits.slice(0, 12);
    const together = await Promise.all(files.map((file) => detectFaces(file)));
    for (const [i, file] of files.entries()) {
      assert.deepEqual(await detectFaces(file), together[i]);
    }
    const picture = await mosaic(portraits, 3, 160);
    const low = await detectFaces(picture, { which: 'each', minScore: 0.5 });
    const high = await detectFaces(picture, { which: 'each', minScore: 0.9 });
    assert.ok(high.found > 0 && high.found < low.found, `${high.found} of ${low.found}`);
    for (const { box, points } of high.faces) {
      assert.ok(low.faces.some((other) => JSON.stringify([other.box, other.points]) === JSON.stringify([box, points])));
    }
  });

  describe('in the larger collection', () => {
    before(function () {
      if (!existsSync(COLLECTION)) skip(this, 'needs the collection of portraits: FACELLM_FACES');
    });

    it('are found as often as docs/faces.md tells', async () => {
      const least = { congress: 590, london: 164, cmu: 461, fairface: 417 };
      // Of the first look alone. Of cmu's small heads it cannot be told: where a later look finds the same face better, that one's stays.
      const alone: Readonly<Record<string, number>> = { congress: 590, london: 164, fairface: 396 };
      for (const [folder, bound] of Object.entries(least)) {
        const results = await detectIn(folder);
        const found = results.filter(({ faces }) => faces.length > 0).length;
        assert.ok(found >= bound, `${folder}: ${found}`);
        const short = results.filter(({ faces }) => faces.some(({ pass }) => pass === 'short'));
        assert.ok(short.length >= (alone[folder] ?? 0), `${folder}, first look: ${short.length}`);
        if (folder !== 'congress') continue;
        assert.ok(results.filter(({ faces }) => faces.length > 1).length <= 1, 'several');
      }
    });

    it("give FairFace's own chips back", async () => {
      const results = await detectIn('fairface');
      const errors = results
        .flatMap(({ faces, used, width, height }) => {
          const chip = faces[used[0] ?? -1]?.chip;
          if (chip === undefined) return [];
          const { a, b, tx, ty } = chip;
          const square = a * a + b * b;
          const distances = [0, 0, 1, 1].map((u, k) => {
            const [du, dv] = [u - tx, (k % 2) - ty];
            const [x, y] = [(a * du + b * dv) / square, (a * dv - b * du) / square];
            return Math.hypot(x - u * width, y - (k % 2) * height) / width;
          });
          return [distances.reduce((sum, one) => sum + one, 0) / 4];
        })
        .sort((one, two) => one - two);
      const at = (share: number): number => errors[Math.floor(share * errors.length)] ?? NaN;
      assert.ok(at(0.5) <= 0.08 && at(0.9) <= 0.22, `${at(0.5)}, ${at(0.9)}`);
      const whole = await detectFaces(join(COLLECTION, 'fullsize', 'fairface_171.jpg'));
      const { side, a, b, tx, ty } = whole.faces[0]?.chip ?? assert.fail();
      const square = a * a + b * b;
      const centre = [(a * (0.5 - tx) + b * (0.5 - ty)) / square, (a * (0.5 - ty) - b * (0.5 - tx)) / square];
      assert.ok(side >= 186 && side <= 198, `side ${side}`);
      assert.ok(Math.abs((centre[0] ?? 0) - 224) < 5 && Math.abs((centre[1] ?? 0) - 224) < 5, String(centre));
    });

    it('are told to be turned where they are, and to which side', async () => {
      const files = picturesIn(join(COLLECTION, 'cmu'));
      const results = await detectIn('cmu');
      const counts = { left: [0, 0], right: [0, 0] };
      for (const [i, { faces, used }] of results.entries()) {
        const flags = faces[used[0] ?? -1]?.flags;
        const pose = /_(left|right|straight|up)_/.exec(files[i] ?? '')?.[1];
        if (flags === undefined) continue;
        if (pose === 'left' || pose === 'right') {
          counts[pose][0] = (counts[pose][0] ?? 0) + 1;
          if (flags.includes(`turned-${pose}`)) counts[pose][1] = (counts[pose][1] ?? 0) + 1;
        } else {
          assert.ok(!flags.some((flag) => flag.startsWith('turned')), files[i]);
        }
      }
      for (const [all = 0, right = 0] of Object.values(counts)) assert.ok(right >= 0.9 * all, `${right} of ${all}`);
    });
  });
});
