/**
 * Pixels of an opened picture as Pillow's `convert("RGB")` gives them (docs/internvl3.md, section
 * 4.1). libvips agrees with Pillow on nearly everything by itself: alpha dropped, grey replicated,
 * palettes looked up, the high byte of 16-bit colour. Three kinds differ and are converted here: CMYK,
 * 16-bit grey, and the pixels of a GIF that are transparent or outside its first frame.
 */
import { setImmediate } from 'node:timers/promises';

import type { Metadata, Sharp } from 'sharp';

import { type FirstFrame, firstFrame } from './gif.js';
import type { RgbPixels } from './types.js';

/** Pixels that one turn of the event loop may convert: about a millisecond. */
const SLICE = 1 << 17;

/**
 * @param file the bytes that `input` reads; raw pixels for a raw picture
 * @throws what sharp throws
 */
export async function toRgb(input: Sharp, meta: Metadata, file: Uint8Array): Promise<RgbPixels> {
  if (meta.space === 'cmyk') return fromCmyk(input, meta.depth === 'ushort');
  if (meta.space === 'grey16' && !hasAlphaChannel(meta, file)) return fromDeepGrey(input);
  const frame = meta.format === 'gif' ? firstFrame(file) : undefined;
  if (frame !== undefined && (meta.hasAlpha || !covers(frame, meta))) return fromGif(input, frame);
  return finish(input);
}

async function finish(input: Sharp): Promise<RgbPixels> {
  const upright = input.removeAlpha().toColourspace('srgb').raw({ depth: 'uchar' });
  const { data, info } = await upright.toBuffer({ resolveWithObject: true });
  return { rgb: data, width: info.width, height: info.height };
}

/**
 * A PNG with a transparent grey value, but without an alpha channel, looks to libvips as one with it.
 * Pillow takes the high byte only where there is a channel. Byte 25 of a PNG is its colour type.
 */
function hasAlphaChannel(meta: Metadata, file: Uint8Array): boolean {
  return meta.hasAlpha && !(meta.format === 'png' && file[25] === 0);
}

/** Every level above 255 is white: Pillow clips, where libvips scales. */
async function fromDeepGrey(input: Sharp): Promise<RgbPixels> {
  const clipped = input.removeAlpha().pipelineColourspace('grey16').toColourspace('grey16');
  const { data, info } = await clipped
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  const { width, height } = info;
  const pixels = new Uint8Array(3 * width * height);
  await inSlices(width * height, (begin, end) => {
    for (let i = begin; i < end; i++) pixels.fill(data[i] as number, 3 * i, 3 * i + 3);
  });
  return { rgb: pixels, width, height };
}

/** Each ink takes its share of the light that black leaves; no profile is looked at. */
async function fromCmyk(input: Sharp, isDeep: boolean): Promise<RgbPixels> {
  const inks = input.pipelineColourspace('cmyk').toColourspace('cmyk');
  const { data, info } = await inks
    .raw({ depth: isDeep ? 'ushort' : 'uchar' })
    .toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  // 16-bit samples lie in memory little-endian: their high byte is the second one.
  const stride = isDeep ? 2 : 1;
  const at = (pixel: number, ink: number): number =>
    data[(pixel * channels + ink) * stride + stride - 1] as number;
  const rgb = new Uint8Array(3 * width * height);
  await inSlices(width * height, (begin, end) => {
    for (let i = begin; i < end; i++) {
      const light = 255 - at(i, 3);
      for (let c = 0; c < 3; c++) rgb[3 * i + c] = light - scale255(at(i, c), light);
    }
  });
  return { rgb, width, height };
}

/** `a * b / 255`, rounded, in integers. */
function scale255(a: number, b: number): number {
  const product = a * b + 128;
  return ((product >> 8) + product) >> 8;
}

function covers({ left, top, right, bottom }: FirstFrame, { width, height }: Metadata): boolean {
  return left === 0 && top === 0 && right >= width && bottom >= height;
}

/** libvips makes pixels that nothing covers black; a palette entry has a colour for them, which Pillow shows. */
async function fromGif(input: Sharp, frame: FirstFrame): Promise<RgbPixels> {
  const { data, info } = await input
    .ensureAlpha()
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  const { width, height } = info;
  const rgb = new Uint8Array(3 * width * height);
  await inSlices(width * height, (begin, end) => {
    for (let i = begin; i < end; i++) {
      const x = i % width;
      const y = (i - x) / width;
      const isCovered = x >= frame.left && x < frame.right && y >= frame.top && y < frame.bottom;
      const isShown = isCovered && data[4 * i + 3] !== 0;
      rgb.set(isShown ? data.subarray(4 * i, 4 * i + 3) : frame.hidden, 3 * i);
    }
  });
  return { rgb, width, height };
}

/** A large picture is converted in many turns of the event loop, so that others get theirs. */
async function inSlices(
  count: number,
  convert: (begin: number, end: number) => void,
): Promise<void> {
  for (let begin = 0; begin < count; begin += SLICE) {
    convert(begin, Math.min(begin + SLICE, count));
    await setImmediate();
  }
}
