/**
 * Raw pixels that this package has made and hands to nobody who could write to them, by what they were made of: they are
 * neither copied nor hashed, which for a chip of 448 pixels costs as much as a small model's answer.
 */
import type { RawImage } from './types.js';

const keys = new WeakMap<object, string>();

/** @param key equal keys, equal pixels */
export function ownPixels(image: RawImage, key: string): RawImage {
  keys.set(image, key);
  return image;
}

/** Undefined: pixels of somebody else's, or no picture. */
export function keyOfOwn(source: unknown): string | undefined {
  return typeof source === 'object' && source !== null ? keys.get(source) : undefined;
}
