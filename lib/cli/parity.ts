/**
 * The self-test of `facellm doctor`: one shipped picture through a shipped checkpoint, every stage
 * compared with what the reference (transformers) computed.
 */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import type { NativeAddon, NativeTensor } from '../binding/native.js';
import {
  readCheckpointConfig,
  readCheckpointFiles,
  readRequiredJson,
} from '../checkpoint/index.js';
import { fromNative } from '../errors.js';
import { decodeImage } from '../image/index.js';
import { resolveWeights } from '../model/index.js';

export interface ParityReport {
  readonly device: string;
  readonly stages: number;
  /** The stage that is furthest off, relative to its largest magnitude. */
  readonly worstStage: string;
  readonly worstError: number;
  readonly tolerance: number;
  readonly passed: boolean;
}

/** docs/numerics.md: fp32 agreement is below 2e-6; a wrong operation is off by a percent or more. */
const TOLERANCE = 1e-4;
const SHIPPED = new URL('../../golden/', import.meta.url);

interface Stored {
  readonly name: string;
  readonly values: Float32Array;
}

/** The fp32 tensors of a safetensors file. */
function readStages(file: Buffer): Stored[] {
  const headerLength = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, 8 + headerLength)) as Record<
    string,
    { readonly dtype: string; readonly data_offsets: readonly [number, number] }
  >;
  return Object.entries(header)
    .filter(([, entry]) => entry.dtype === 'F32')
    .map(([name, { data_offsets }]) => {
      const [begin, end] = data_offsets.map((offset) => 8 + headerLength + offset);
      return { name, values: new Float32Array(Uint8Array.from(file.subarray(begin, end)).buffer) };
    });
}

function relativeError(actual: NativeTensor | undefined, expected: Float32Array): number {
  if (actual?.data.length !== expected.length) return Infinity;
  let scale = 0;
  let worst = 0;
  expected.forEach((want, i) => {
    scale = Math.max(scale, Math.abs(want));
    const difference = Math.abs((actual.data[i] ?? NaN) - want);
    if (!(difference <= worst)) worst = difference;
  });
  return scale === 0 ? worst : worst / scale;
}

export async function checkParity(addon: NativeAddon, device: string): Promise<ParityReport> {
  const directory = fileURLToPath(new URL('ckpt-300m', SHIPPED));
  const [files, config, stages, golden, image] = await Promise.all([
    readCheckpointFiles(directory),
    readCheckpointConfig(directory),
    readFile(new URL('face_square.fp32.safetensors', SHIPPED)).then(readStages),
    readRequiredJson(
      fileURLToPath(new URL('face_square.fp32.json', SHIPPED)),
      'shipped with facellm',
    ),
    decodeImage(fileURLToPath(new URL('face_square.png', SHIPPED))),
  ]);
  const input_ids = golden['input_ids'] as readonly number[];
  try {
    const model = await addon.loadModel(
      {
        config: config.model,
        preprocessing: config.preprocessing,
        files: files.dataFiles,
        weightMap: files.weightMap,
        device,
        dtype: 'fp32',
        weights: resolveWeights('stored', config.model.text),
        mmap: true,
        imageCacheBytes: 0,
        prefixCacheBytes: 0,
        ...{ kvBytes: 0, maxRows: 1, maxContext: 1, deterministic: false },
      },
      () => {},
    ).promise;
    const picture = { ...image, columns: 1, rows: 1, hasThumbnail: false };
    const prompt = { ids: Int32Array.from(input_ids), images: [picture] };
    const traced = await model.trace(prompt, []).promise;
    await model.dispose().promise;
    const byName = new Map(traced.map((stage) => [stage.name, stage]));
    const compared = stages.filter(({ name }) => !/^(generated|answer)\./.test(name));
    const errors = compared.map(({ name, values }) => relativeError(byName.get(name), values));
    const worstError = Math.max(...errors);
    return {
      device,
      stages: compared.length,
      worstStage: compared[errors.indexOf(worstError)]?.name ?? '',
      worstError,
      tolerance: TOLERANCE,
      passed: worstError <= TOLERANCE,
    };
  } catch (error) {
    throw fromNative(error);
  }
}
