/** Augmentation: what is drawn follows from the seed alone, and the engine does to pixels what was drawn. */
import assert from 'node:assert/strict';

import fc from 'fast-check';

import { loadAddon } from '../../lib/binding/load.js';
import type { NativeAugmentation } from '../../lib/binding/native.js';
import { drawAugmentation } from '../../lib/training/augmentation.js';
import type { RecipeAugmentation } from '../../lib/training/recipe.js';

const SETTINGS: RecipeAugmentation = {
  ...{ flip: 0.5, zoom: 0.2, shift: 0.1, brightness: 0.3, contrast: 0.4, saturation: 0.5 },
  grey: 0.25,
};
const OFF: RecipeAugmentation = {
  ...{ flip: 0, zoom: 0, shift: 0, brightness: 0, contrast: 0, saturation: 0, grey: 0 },
};
const SIZE = { width: 200, height: 100 };
const PLACE = { seed: 1, pass: 0, picture: 0, pictures: 40 };

describe('augmentation: what is drawn', () => {
  it('is the same for the same place, another for another picture, pass or seed', () => {
    const place = fc.record({ seed: fc.nat(), pass: fc.nat(500), picture: fc.nat(39) });
    const drawn = (own: Partial<typeof PLACE>): NativeAugmentation =>
      drawAugmentation(SETTINGS, SIZE, { ...PLACE, ...own });
    fc.assert(
      fc.property(place, (own) => {
        assert.deepEqual(drawn(own), drawn(own));
        for (const key of ['seed', 'pass', 'picture'] as const) {
          assert.notDeepEqual(drawn({ ...own, [key]: own[key] + 1 }), drawn(own));
        }
      }),
    );
  });

  it('stays within its bounds and reaches nearly to them', () => {
    const all = Array.from({ length: 2000 }, (_, pass) =>
      drawAugmentation(SETTINGS, SIZE, { ...PLACE, pass }),
    );
    /** Least and largest value of 2,000 uniform ones: within 1 % of the ends but for one time in 10^8. */
    const spans = (values: readonly number[], low: number, high: number, unit = 0): void => {
      const [least, most] = [Math.min(...values), Math.max(...values)];
      assert.ok(
        least >= low - unit && least <= low + (high - low) / 100 + unit,
        `${least} of ${low}`,
      );
      assert.ok(
        most <= high + unit && most >= high - (high - low) / 100 - unit,
        `${most} of ${high}`,
      );
    };
    // Pixels are whole: half a pixel of rounding, and of the centre another half.
    spans(
      all.map(({ width }) => width),
      160,
      240,
      0.5,
    );
    spans(
      all.map(({ height }) => height),
      80,
      120,
      0.5,
    );
    spans(
      all.map(({ left, width }) => left + width / 2),
      80,
      120,
      1,
    );
    spans(
      all.map(({ top, height }) => top + height / 2),
      40,
      60,
      1,
    );
    spans(
      all.map(({ brightness }) => brightness),
      0.7,
      1.3,
    );
    spans(
      all.map(({ contrast }) => contrast),
      0.6,
      1.4,
    );
    const coloured = all.map(({ saturation }) => saturation).filter((factor) => factor > 0);
    spans(coloured, 0.5, 1.5);
    // Five standard deviations of a share of 2,000.
    const near = (count: number, share: number): void =>
      assert.ok(Math.abs(count / 2000 - share) < 5 * Math.sqrt((share * (1 - share)) / 2000));
    near(all.filter(({ flips }) => flips).length, 0.5);
    near(2000 - coloured.length, 0.25);
  });

  it('settings of 0 leave a picture as it is', () => {
    assert.deepEqual(drawAugmentation(OFF, SIZE, PLACE), {
      ...{ left: 0, top: 0, ...SIZE, flips: false },
      ...{ brightness: 1, contrast: 1, saturation: 1 },
    });
  });
});

describe('augmentation: what becomes of the pixels', () => {
  const [width, height] = [7, 5];
  const rgb = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 37) % 256);
  const whole: NativeAugmentation = drawAugmentation(OFF, { width, height }, PLACE);

  /** The window as the engine cuts it: tiles of its own size are the pixels, channels first. */
  async function changed(change: Partial<NativeAugmentation>, size: number): Promise<number[]> {
    const picture = { key: '', rgb, width, height, columns: 1, rows: 1, hasThumbnail: false };
    const job = loadAddon().tilePixels(picture, size, { ...whole, ...change });
    return Array.from(await job.promise);
  }

  /** The plain version: pixel by pixel, rounded once. */
  function reference(change: Partial<NativeAugmentation>): number[] {
    const { left, top, flips, brightness, contrast, saturation, ...size } = { ...whole, ...change };
    const clamp = (value: number, most: number): number => Math.min(Math.max(value, 0), most);
    const luma = ([r = 0, g = 0, b = 0]: readonly number[]): number =>
      0.299 * r + 0.587 * g + 0.114 * b;
    const pixels: number[][] = [];
    for (let y = 0; y < size.height; y++) {
      for (let x = 0; x < size.width; x++) {
        const column = clamp(left + (flips ? size.width - 1 - x : x), width - 1);
        const at = (clamp(top + y, height - 1) * width + column) * 3;
        pixels.push([0, 1, 2].map((c) => clamp((rgb[at + c] ?? 0) * brightness, 255)));
      }
    }
    const mean = pixels.reduce((sum, pixel) => sum + luma(pixel), 0) / pixels.length;
    const out = pixels.map((pixel) => {
      const contrasted = pixel.map((value) => clamp(mean + contrast * (value - mean), 255));
      const grey = luma(contrasted);
      return contrasted.map((v) => Math.round(clamp(grey + saturation * (v - grey), 255)));
    });
    return [0, 1, 2].flatMap((c) => out.map((pixel) => pixel[c] ?? 0));
  }

  const cases: Readonly<Record<string, Partial<NativeAugmentation>>> = {
    'a part': { left: 2, top: 1, width: 4, height: 4 },
    mirrored: { left: 1, top: 0, width: 5, height: 5, flips: true },
    'over all edges': { left: -3, top: -2, width: 13, height: 13 },
    'over one corner, mirrored': { left: 4, top: 2, width: 6, height: 6, flips: true },
    brighter: { width: 5, height: 5, brightness: 1.4 },
    'with less contrast': { width: 5, height: 5, contrast: 0.3 },
    'without colour': { width: 5, height: 5, saturation: 0 },
    'all at once': {
      ...{ left: -1, top: -1, width: 8, height: 8, flips: true },
      ...{ brightness: 0.8, contrast: 1.7, saturation: 1.3 },
    },
  };
  for (const [name, change] of Object.entries(cases)) {
    it(`${name}: pixel for pixel as the plain version`, async () => {
      const own = reference(change);
      const actual = await changed(change, change.width ?? 5);
      assert.equal(actual.length, own.length);
      // Sums in another order: a value that lies on a half may round the other way.
      assert.ok(actual.every((value, i) => Math.abs(value - (own[i] ?? NaN)) <= 1));
      assert.ok(actual.filter((value, i) => value !== own[i]).length <= 1);
    });
  }

  it('no change is no change', async () => {
    const picture = { key: '', rgb, width, height, columns: 2, rows: 1, hasThumbnail: true };
    const plain = await loadAddon().tilePixels(picture, 4).promise;
    assert.deepEqual(await loadAddon().tilePixels(picture, 4, whole).promise, plain);
  });

  it('a window outside the picture and wrong factors are refused', async () => {
    for (const change of [{ left: 7 }, { top: -5 }, { brightness: -1 }, { contrast: NaN }]) {
      await assert.rejects(changed(change, 4), { code: 'FACELLM_INVALID_ARGUMENT' });
    }
    await assert.rejects(changed({ width: 1e6, height: 1e6 }, 4), {
      code: 'FACELLM_IMAGE_TOO_LARGE',
    });
  });
});
