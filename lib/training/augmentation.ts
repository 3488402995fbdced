/** Which changes a picture gets in a pass over the data: a function of the seed, the pass and the picture alone. */
import type { NativeAugmentation } from '../binding/native.js';
import type { ImageSize } from '../image/index.js';
import { randomNumbers } from './order.js';
import type { RecipeAugmentation } from './recipe.js';

/** Streams of random numbers from here on; those before are the order's. */
const FIRST_STREAM = 2 ** 40;

export interface AugmentationPlace {
  readonly seed: number;
  /** Passes over the data before this one. */
  readonly pass: number;
  /** Number of the picture in the data, and how many there are. */
  readonly picture: number;
  readonly pictures: number;
}

/** Uniform in `centre - reach .. centre + reach`. */
function around(centre: number, reach: number, random: () => number): number {
  return centre + (2 * random() - 1) * reach;
}

export function drawAugmentation(
  settings: RecipeAugmentation,
  { width, height }: ImageSize,
  { seed, pass, picture, pictures }: AugmentationPlace,
): NativeAugmentation {
  const random = randomNumbers(seed, FIRST_STREAM + pass * pictures + picture);
  const flips = random() < settings.flip;
  const side = around(1, settings.zoom, random);
  const right = around(0.5, settings.shift, random);
  const down = around(0.5, settings.shift, random);
  const brightness = around(1, settings.brightness, random);
  const contrast = around(1, settings.contrast, random);
  const colour = around(1, settings.saturation, random);
  const isGrey = random() < settings.grey;
  const own = {
    width: Math.max(1, Math.round(width * side)),
    height: Math.max(1, Math.round(height * side)),
  };
  return {
    left: Math.round(width * right - own.width / 2),
    top: Math.round(height * down - own.height / 2),
    ...own,
    flips,
    brightness,
    contrast,
    saturation: isGrey ? 0 : colour,
  };
}
