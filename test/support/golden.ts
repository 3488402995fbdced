/** The oracle's cases: prompts, pictures and stored tensors, and models loaded below the public API. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import sharp from 'sharp';

import { loadAddon } from '../../lib/binding/load.js';
import type {
  NativeImageInput,
  NativeModel,
  NativePrompt,
  NativeTensor,
} from '../../lib/binding/native.js';
import { readCheckpointConfig, readCheckpointFiles } from '../../lib/checkpoint/index.js';
import {
  keptForm,
  resolveWeights,
  type WeightForm,
  type WeightForms,
} from '../../lib/model/index.js';
import { readSafetensors, type StoredTensor } from './safetensors.js';

export const GOLDEN: string = join(import.meta.dirname, '..', 'fixtures', 'golden');
export const CHECKPOINTS = ['300m', '6b'] as const;
export type CheckpointName = (typeof CHECKPOINTS)[number];
export type DtypeName = 'fp32' | 'bf16';

export interface GoldenCase {
  readonly checkpoint: CheckpointName;
  readonly dtype: DtypeName;
  readonly name: string;
  readonly style: 'hf' | 'original' | 'training';
  readonly crop: boolean;
  readonly text: string;
  readonly tiles: readonly number[];
  readonly input_ids: readonly number[];
  readonly generated_ids: readonly number[];
  readonly generated_text: string;
  readonly answer_ids?: readonly number[];
  readonly described: Readonly<
    Record<string, { readonly shape: number[]; readonly sha256: string }>
  >;
}

const CASES: Readonly<Record<CheckpointName, readonly (readonly [string, DtypeName])[]>> = {
  '300m': [
    ['face_square', 'fp32'],
    ['face_square', 'bf16'],
    ['face_tiled', 'fp32'],
    ['face_tiled', 'bf16'],
    ['two_images', 'fp32'],
    ['text_only', 'fp32'],
    ['training_style', 'fp32'],
    ['original_history', 'fp32'],
  ],
  '6b': [
    ['face_tiled', 'fp32'],
    ['face_tiled', 'bf16'],
  ],
};

export function goldenCases(checkpoint: CheckpointName): readonly GoldenCase[] {
  return CASES[checkpoint].map(([name, dtype]) => {
    const path = join(GOLDEN, `infer-${checkpoint}`, `${name}.${dtype}.json`);
    return { ...(JSON.parse(readFileSync(path, 'utf8')) as GoldenCase), checkpoint, dtype };
  });
}

export function goldenTensors(golden: GoldenCase): Map<string, StoredTensor> {
  const file = `${golden.name}.${golden.dtype}.safetensors`;
  return readSafetensors(join(GOLDEN, `infer-${golden.checkpoint}`, file));
}

/** Decoded pictures of a case, cut as the case says. */
export async function goldenImages(golden: GoldenCase): Promise<NativeImageInput[]> {
  const addon = loadAddon();
  const images: NativeImageInput[] = [];
  for (let k = 0; ; k++) {
    const path = join(GOLDEN, `infer-${golden.checkpoint}`, 'images', `${golden.name}_${k}.png`);
    if (!existsSync(path)) return images;
    const { data, info } = await sharp(path)
      .removeAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true });
    const grid = golden.crop
      ? addon.chooseTileGrid(info.width, info.height, 56, 1, 12)
      : { columns: 1, rows: 1 };
    images.push({
      key: path,
      rgb: data,
      width: info.width,
      height: info.height,
      ...grid,
      hasThumbnail: grid.columns * grid.rows > 1,
    });
  }
}

export async function goldenPrompt(golden: GoldenCase): Promise<NativePrompt> {
  return { ids: Int32Array.from(golden.input_ids), images: await goldenImages(golden) };
}

/** Devices to test on: `FACELLM_TEST_DEVICES=cpu,cuda`; the CPU alone by default. */
export const TEST_DEVICES: readonly string[] = (process.env['FACELLM_TEST_DEVICES'] ?? 'cpu').split(
  ',',
);

/** Where suites run that load one model for all their tests: the last of those devices. */
export const TEST_DEVICE: string = TEST_DEVICES.at(-1) ?? 'cpu';

export interface LoadOptions {
  readonly dtype: DtypeName;
  readonly device?: string;
  readonly weights?: WeightForm | WeightForms;
  readonly mmap?: boolean;
  readonly imageCacheBytes?: number;
  readonly prefixCacheBytes?: number;
  readonly kvBytes?: number;
  readonly maxRows?: number;
  readonly deterministic?: boolean;
}

export async function loadNative(directory: string, options: LoadOptions): Promise<NativeModel> {
  const [files, config] = await Promise.all([
    readCheckpointFiles(directory),
    readCheckpointConfig(directory),
  ]);
  return loadAddon().loadModel(
    {
      config: config.model,
      preprocessing: config.preprocessing,
      files: files.dataFiles,
      weightMap: files.weightMap,
      device: options.device ?? TEST_DEVICE,
      dtype: options.dtype,
      weights: resolveWeights(
        options.weights,
        config.model.text,
        keptForm(config.model.quantisation),
      ),
      mmap: options.mmap ?? true,
      imageCacheBytes: options.imageCacheBytes ?? 1 << 24,
      prefixCacheBytes: options.prefixCacheBytes ?? 1 << 24,
      kvBytes: options.kvBytes ?? 2 ** 25,
      ...{ maxRows: options.maxRows ?? 16, maxContext: 32_768 },
      deterministic: options.deterministic ?? false,
    },
    () => {},
  ).promise;
}

/** Largest difference between two tensors relative to the largest magnitude of `expected`. */
export function relativeError(actual: NativeTensor, expected: StoredTensor): number {
  if (actual.data.length !== expected.data.length) {
    throw new Error(
      `${actual.name}: ${actual.data.length} values, expected ${expected.data.length}`,
    );
  }
  let scale = 0;
  let worst = 0;
  for (let i = 0; i < actual.data.length; i++) {
    const want = Number(expected.data[i]);
    scale = Math.max(scale, Math.abs(want));
    const difference = Math.abs((actual.data[i] as number) - want);
    // NaN compares false with everything: it must not slip through Math.max.
    if (!(difference <= worst)) worst = difference;
  }
  return scale === 0 ? worst : worst / scale;
}
