/** PEFT folders with random matrices, for a golden checkpoint: every kind of LoRA that the engine runs. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { readCheckpointConfig } from '../../lib/checkpoint/index.js';
import { type AdapterConfig, adapterConfigJson } from '../../lib/lora/adapter-config.js';
import { inMemoryName } from '../../lib/lora/modules.js';
import { resolveTargets } from '../../lib/lora/targets.js';
import {
  type RawTensor,
  type RawTensors,
  readRaw,
  toFp32,
  writeSafetensors,
} from './original-layout.js';

export interface AdapterKind extends Partial<AdapterConfig> {
  readonly seed?: number;
  /** Size of B's entries; 0: an adapter that changes nothing. */
  readonly b?: number;
}

/** mulberry32: the same numbers on every machine. */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * 2 - 1;
  };
}

export function floats(values: ArrayLike<number>, shape: readonly number[]): RawTensor {
  return { dtype: 'F32', shape, bytes: Buffer.from(Float32Array.from(values).buffer) };
}

export function toFloats(tensor: RawTensor): Float32Array {
  const { bytes } = tensor.dtype === 'BF16' ? toFp32(tensor) : tensor;
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

/** W + s B A is of no interest here: magnitudes near the row norms of W itself are as good as trained ones. */
function magnitudes(weight: RawTensor, next: () => number): number[] {
  const [rows = 0, columns = 0] = weight.shape;
  const values = toFloats(weight);
  return Array.from({ length: rows }, (_, row) => {
    const own = values.subarray(row * columns, (row + 1) * columns);
    return Math.hypot(...own) * (1 + 0.2 * next());
  });
}

/** Writes the folder and returns it. */
export async function writeAdapter(
  checkpoint: string,
  folder: string,
  { seed = 1, b = 0.1, ...overrides }: AdapterKind,
): Promise<string> {
  const config: AdapterConfig = {
    rank: 4,
    alpha: 8,
    dropout: 0,
    targets: 'all',
    rankPattern: {},
    alphaPattern: {},
    usesRsLora: false,
    usesDora: false,
    ...overrides,
  };
  const { model } = await readCheckpointConfig(checkpoint);
  const modules = resolveTargets(model, config);
  const weights = readRaw(checkpoint);
  const next = randomNumbers(seed);
  const tensors: RawTensors = new Map();
  for (const { name, rank } of modules) {
    const weight = weights.get(`${name}.weight`);
    if (weight === undefined) throw new Error(`${name} is not in ${checkpoint}`);
    const [rows = 0, columns = 0] = weight.shape;
    const fill = (count: number, size: number): number[] =>
      Array.from({ length: count }, () => size * next());
    const key = `base_model.model.${inMemoryName(name)}.`;
    tensors.set(`${key}lora_A.weight`, floats(fill(rank * columns, 0.3), [rank, columns]));
    tensors.set(`${key}lora_B.weight`, floats(fill(rows * rank, b), [rows, rank]));
    if (config.usesDora) {
      tensors.set(`${key}lora_magnitude_vector`, floats(magnitudes(weight, next), [rows]));
    }
  }
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'adapter_config.json'), adapterConfigJson(config, modules, null));
  writeSafetensors(join(folder, 'adapter_model.safetensors'), tensors);
  return folder;
}
