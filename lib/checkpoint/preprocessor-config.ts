/**
 * The image processor's settings of the HF layout: preprocessor_config.json, or the same object
 * under `image_processor` in processor_config.json, which wins as in transformers ≥ 5
 * (docs/internvl3.md, section 2.3). Size and statistics must be written: the class defaults are
 * CLIP's. `crop_to_patches` is not read, since inference always tiles (section 4.2).
 */
import { join } from 'node:path';

import { z } from 'zod';

import type { NativePreprocessing } from '../binding/native.js';
import { isJsonObject } from '../files/index.js';
import { readListedJson } from './json-file.js';
import * as field from './schema.js';

export interface PreprocessorConfig {
  readonly preprocessing: NativePreprocessing;
  readonly minTiles: number;
  readonly maxTiles: number;
}

/** What the original code applies, whatever its files say (docs/internvl3.md, sections 2.3 and 4.6). */
export const IMAGENET_PREPROCESSING: NativePreprocessing = {
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
  rescaleFactor: 1 / 255,
};

type Triple = readonly [number, number, number];

function triple(text: string, min: number): z.ZodType<Triple> {
  const isValid = (v: unknown): boolean =>
    Array.isArray(v) && v.length === 3 && v.every((n) => Number.isFinite(n) && Number(n) > min);
  return field.checked<Triple>(text, isValid);
}

/** As transformers names it for InternVL: 4.x, its faster twin, and 5.x on Pillow. */
const processorType = field.oneOf(
  'GotOcr2ImageProcessor',
  'GotOcr2ImageProcessorFast',
  'GotOcr2ImageProcessorPil',
);

const schema = z
  .object({
    // Another class would crop or pad where this one tiles.
    image_processor_type: field.optional(processorType),
    size: field.squareSize,
    image_mean: triple('three numbers', -Infinity),
    image_std: triple('three numbers above 0', 0),
    rescale_factor: field.withDefault(field.numberAbove(0), 1 / 255),
    resample: field.withDefault(field.oneOf(3), 3),
    do_resize: field.withDefault(field.oneOf(true), true),
    do_rescale: field.withDefault(field.oneOf(true), true),
    do_normalize: field.withDefault(field.oneOf(true), true),
    min_patches: field.withDefault(field.integer(1, 1000), 1),
    max_patches: field.withDefault(field.integer(1, 1000), 12),
  })
  .refine((c) => c.min_patches <= c.max_patches, {
    path: ['min_patches'],
    error: 'must not exceed max_patches',
    when: field.whenValid('min_patches', 'max_patches'),
  });

const processorSchema = z.object({ image_seq_length: field.optional(field.integer(1, 1 << 20)) });

/** What config.json says and the image processor must agree with. */
export interface TileGeometry {
  readonly imageSize: number;
  readonly imageSeqLength: number;
}

/**
 * Reads the settings of an HF folder; undefined after reporting everything that is wrong.
 * `geometry` is undefined where config.json itself could not be read.
 */
export async function readPreprocessorConfig(
  directory: string,
  geometry: TileGeometry | undefined,
  problems: field.Problems,
): Promise<PreprocessorConfig | undefined> {
  const [processor, separate] = await Promise.all([
    readListedJson(join(directory, 'processor_config.json'), problems),
    readListedJson(join(directory, 'preprocessor_config.json'), problems),
  ]);
  if (processor) {
    const file = 'processor_config.json';
    const length = field.parseObject(processorSchema, processor, file, problems)?.image_seq_length;
    if (geometry !== undefined && length !== undefined && length !== geometry.imageSeqLength) {
      const text = field.expected(`${geometry.imageSeqLength} as in config.json`, length);
      problems.push(`${file}: image_seq_length: ${text}`);
    }
  }
  const nested = processor?.['image_processor'];
  const isNested = isJsonObject(nested);
  const raw = isNested ? nested : separate;
  const file = isNested ? 'processor_config.json (image_processor)' : 'preprocessor_config.json';
  if (raw === null) return undefined;
  if (raw === undefined) {
    problems.push(
      'preprocessor_config.json: is missing, and processor_config.json has no image_processor',
    );
    return undefined;
  }
  const config = field.parseObject(schema, raw, file, problems);
  if (config === undefined) return undefined;
  if (geometry !== undefined && config.size !== geometry.imageSize) {
    const text = field.expected(
      `${geometry.imageSize}, the vision tower's image_size`,
      config.size,
    );
    problems.push(`${file}: size: ${text}`);
  }
  return {
    preprocessing: {
      mean: config.image_mean,
      std: config.image_std,
      rescaleFactor: config.rescale_factor,
    },
    minTiles: config.min_patches,
    maxTiles: config.max_patches,
  };
}
