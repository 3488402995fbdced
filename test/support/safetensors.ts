/** A small safetensors reader for tests: every tensor of a file as a typed array (BF16 and F16 as fp32). */
import { readFileSync } from 'node:fs';

export interface StoredTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: Float32Array | Uint8Array | Int32Array | BigInt64Array;
}

function halfToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function decode(dtype: string, bytes: ArrayBuffer): StoredTensor['data'] {
  switch (dtype) {
    case 'F32':
      return new Float32Array(bytes);
    case 'BF16': {
      const words = new Uint32Array(Uint16Array.from(new Uint16Array(bytes)));
      return new Float32Array(words.map((word) => word << 16).buffer);
    }
    case 'F16':
      return Float32Array.from(new Uint16Array(bytes), halfToFloat);
    case 'I8':
    case 'F8_E4M3':
    case 'U8':
      return new Uint8Array(bytes);
    case 'I32':
      return new Int32Array(bytes);
    case 'I64':
      return new BigInt64Array(bytes);
    default:
      throw new Error(`unexpected dtype ${dtype}`);
  }
}

export function readSafetensors(path: string): Map<string, StoredTensor> {
  const file = readFileSync(path);
  const headerLength = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, 8 + headerLength)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  const tensors = new Map<string, StoredTensor>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const [begin, end] = entry.data_offsets;
    const start = file.byteOffset + 8 + headerLength;
    const bytes = file.buffer.slice(start + begin, start + end);
    tensors.set(name, { dtype: entry.dtype, shape: entry.shape, data: decode(entry.dtype, bytes) });
  }
  return tensors;
}
