/**
 * The training path's bound on a picture's area (docs/internvl3.md, section 4.2): LLaMA-Factory shrinks
 * above 768 x 768 pixels and enlarges below 32 x 32, by Pillow's bicubic, before tiling.
 */
import type { NativeAddon } from '../binding/native.js';
import { fromNative } from '../errors.js';
import type { DecodedImage, ImageSize } from './types.js';

export const TRAINING_MAX_PIXELS: number = 768 * 768;
export const TRAINING_MIN_PIXELS: number = 32 * 32;

/** Size after the bound; the same where nothing changes. */
export function limitedSize({ width, height }: ImageSize): ImageSize {
  const area = width * height;
  const target =
    area > TRAINING_MAX_PIXELS
      ? TRAINING_MAX_PIXELS
      : area < TRAINING_MIN_PIXELS
        ? TRAINING_MIN_PIXELS
        : area;
  if (target === area) return { width, height };
  const factor = Math.sqrt(target / area);
  // A strip can round to nothing; Pillow would refuse it.
  return {
    width: Math.max(Math.trunc(width * factor), 1),
    height: Math.max(Math.trunc(height * factor), 1),
  };
}

/** The picture within the bound. */
export async function limitArea(
  addon: Pick<NativeAddon, 'resizePillow'>,
  image: DecodedImage,
): Promise<DecodedImage> {
  const { width, height } = limitedSize(image);
  if (width === image.width && height === image.height) return image;
  try {
    const job = addon.resizePillow(image.rgb, image.width, image.height, width, height);
    const rgb = await job.promise;
    return { key: `${image.key}, ${width}x${height}`, rgb, width, height };
  } catch (error) {
    throw fromNative(error);
  }
}
