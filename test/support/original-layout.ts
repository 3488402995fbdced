/**
 * Other shapes of a golden checkpoint: the original layout (fused qkv, other names), form B names,
 * other dtypes, tied heads. Hashes of the original layout's tensors are the oracle's.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface RawTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Buffer;
}

export type RawTensors = Map<string, RawTensor>;

export function readRaw(directory: string): RawTensors {
  const tensors: RawTensors = new Map();
  for (const name of readdirSync(directory).filter((file) => file.endsWith('.safetensors'))) {
    const file = readFileSync(join(directory, name));
    const headerLength = Number(file.readBigUInt64LE(0));
    const header = JSON.parse(file.toString('utf8', 8, 8 + headerLength)) as Record<
      string,
      { dtype: string; shape: number[]; data_offsets: [number, number] }
    >;
    for (const [key, { dtype, shape, data_offsets }] of Object.entries(header)) {
      if (key === '__metadata__') continue;
      const [begin, end] = data_offsets.map((offset) => 8 + headerLength + offset);
      tensors.set(key, { dtype, shape, bytes: file.subarray(begin, end) });
    }
  }
  return tensors;
}

export function writeSafetensors(path: string, tensors: RawTensors): void {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  let offset = 0;
  for (const [name, { dtype, shape, bytes }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes.length] };
    offset += bytes.length;
  }
  let text = JSON.stringify(header);
  text += ' '.repeat((8 - (Buffer.byteLength(text) % 8)) % 8);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(text)));
  const data = [...tensors.values()].map(({ bytes }) => bytes);
  writeFileSync(path, Buffer.concat([length, Buffer.from(text), ...data]));
}

/** Copies everything but weights, and writes `tensors` as the one weight file. */
export function writeCheckpoint(source: string, target: string, tensors: RawTensors): void {
  mkdirSync(target, { recursive: true });
  cpSync(source, target, {
    recursive: true,
    filter: (file) => !/\.safetensors(\.index\.json)?$/.test(file),
  });
  writeSafetensors(join(target, 'model.safetensors'), tensors);
}

const RENAMED: readonly (readonly [RegExp, string])[] = [
  [/^vision_tower\.embeddings\.cls_token$/, 'vision_model.embeddings.class_embedding'],
  [/^vision_tower\.embeddings\.position_embeddings$/, 'vision_model.embeddings.position_embedding'],
  [
    /^vision_tower\.embeddings\.patch_embeddings\.projection/,
    'vision_model.embeddings.patch_embedding',
  ],
  [/^vision_tower\.encoder\.layer\./, 'vision_model.encoder.layers.'],
  [/\.attention\.projection_layer\./, '.attn.proj.'],
  [/\.attention\.([qk])_norm\./, '.attn.$1_norm.'],
  [/\.lambda_([12])$/, '.ls$1'],
  [/\.layernorm_before\./, '.norm1.'],
  [/\.layernorm_after\./, '.norm2.'],
  [/^multi_modal_projector\.layer_norm\./, 'mlp1.0.'],
  [/^multi_modal_projector\.linear_1\./, 'mlp1.1.'],
  [/^multi_modal_projector\.linear_2\./, 'mlp1.3.'],
];

/** The same weights under the original layout's names, q, k and v joined. */
export function toOriginal(tensors: RawTensors): RawTensors {
  const result: RawTensors = new Map();
  for (const [name, tensor] of tensors) {
    const fused = /^vision_tower\.encoder\.layer\.(\d+)\.attention\.([qkv])_proj\.(.*)$/.exec(name);
    if (fused === null) {
      result.set(
        RENAMED.reduce((text, [from, to]) => text.replace(from, to), name),
        tensor,
      );
    } else if (fused[2] === 'q') {
      const parts = ['q', 'k', 'v'].map((part) =>
        tensors.get(name.replace('.q_proj.', `.${part}_proj.`)),
      );
      const bytes = Buffer.concat(parts.map((part) => part?.bytes ?? Buffer.alloc(0)));
      const shape = [3 * (tensor.shape[0] ?? 0), ...tensor.shape.slice(1)];
      const target = `vision_model.encoder.layers.${fused[1] ?? ''}.attn.qkv.${fused[3] ?? ''}`;
      result.set(target, { dtype: tensor.dtype, shape, bytes });
    }
  }
  return result;
}

/** Form B: the names that transformers uses in memory. */
export function toFormB(name: string): string {
  return name
    .replace(/^language_model\.model\./, 'model.language_model.')
    .replace(/^language_model\.lm_head\./, 'lm_head.')
    .replace(/^(vision_tower|multi_modal_projector)\./, 'model.$1.');
}

/** bf16 values as fp32: exact. */
export function toFp32(tensor: RawTensor): RawTensor {
  const bytes = Buffer.alloc(tensor.bytes.length * 2);
  for (let i = 0; i < tensor.bytes.length / 2; i++) {
    bytes.writeUInt16LE(tensor.bytes.readUInt16LE(2 * i), 4 * i + 2);
  }
  return { dtype: 'F32', shape: tensor.shape, bytes };
}
