/**
 * The tiny checkpoint in the forms of other tools, number by number: codes and packing by the formulas of docs/quantisation.md, with
 * nothing of the engine, and what each weight then is in fp32. The packing is held to compressed-tensors' own by a fixture.
 */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { readSafetensors } from './safetensors.js';

export interface Written {
  readonly dtype: 'F32' | 'BF16' | 'F16' | 'I8' | 'I32' | 'I64' | 'F8_E4M3' | 'U8';
  readonly shape: readonly number[];
  readonly bytes: Buffer;
}

export function writeSafetensors(path: string, tensors: ReadonlyMap<string, Written>): void {
  let offset = 0;
  const header: Record<string, unknown> = {};
  for (const [name, { dtype, shape, bytes }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [offset, (offset += bytes.length)] };
  }
  const text = Buffer.from(JSON.stringify(header).padEnd(8, ' '));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(
    path,
    Buffer.concat([length, text, ...[...tensors.values()].map((one) => one.bytes)]),
  );
}

const bitsOf = (value: number): number => new Uint32Array(Float32Array.of(value).buffer)[0] ?? 0;
const floatOf = (bits: number): number => new Float32Array(Uint32Array.of(bits).buffer)[0] ?? NaN;

/** Down to bf16: a number that fp16 holds too, from 2^-14 on. */
const shortened = (value: number): number => floatOf(bitsOf(value) & 0xffff0000);

/** Of a number that fp16 holds exactly and not as a denormal. */
function halfBits(value: number): number {
  const bits = bitsOf(value);
  const exponent = ((bits >>> 23) & 0xff) - 112;
  return ((bits >>> 16) & 0x8000) | (exponent << 10) | ((bits >>> 13) & 0x3ff);
}

const words16 = (values: readonly number[]): Buffer => Buffer.from(Uint16Array.from(values).buffer);
const bf16 = (shape: readonly number[], values: readonly number[]): Written => ({
  dtype: 'BF16',
  shape,
  bytes: words16(values.map((value) => bitsOf(value) >>> 16)),
});
const f16 = (shape: readonly number[], values: readonly number[]): Written => ({
  dtype: 'F16',
  shape,
  bytes: words16(values.map(halfBits)),
});
const i32 = (shape: readonly number[], values: readonly number[]): Written => ({
  dtype: 'I32',
  shape,
  bytes: Buffer.from(Int32Array.from(values).buffer),
});

/** Codes 0 .. 2^bits - 1 of each row, in plain order, the last word filled up with zeros. */
export function packRows(rows: readonly (readonly number[])[], bits: number): number[][] {
  const fields = 32 / bits;
  return rows.map((row) => {
    const words: number[] = [];
    for (let k = 0; k < row.length; k += fields) {
      let word = 0;
      for (let j = 0; j < fields; j++) word |= (row[k + j] ?? 0) << (bits * j);
      words.push(word | 0);
    }
    return words;
  });
}

export function transposed<T>(rows: readonly (readonly T[])[]): T[][] {
  return (rows[0] ?? []).map((_, k) => rows.map((row) => row[k] as T));
}

/** AutoAWQ's gemm form: nibble i of a word holds column (0, 2, 4, 6, 1, 3, 5, 7)[i] of its eight. */
const AWQ_COLUMNS = [0, 2, 4, 6, 1, 3, 5, 7];
function packAwq(rows: readonly (readonly number[])[]): number[][] {
  return rows.map((row) => {
    const words: number[] = [];
    for (let c = 0; c < row.length; c += 8) {
      let word = 0;
      AWQ_COLUMNS.forEach((column, i) => (word |= (row[c + column] ?? 0) << (4 * i)));
      words.push(word | 0);
    }
    return words;
  });
}

/** e4m3: bias 7, denormals, no infinity, 0x7f NaN. */
export function fp8Value(code: number): number {
  const [exponent, fraction] = [(code >> 3) & 15, code & 7];
  const size = exponent === 0 ? fraction * 2 ** -9 : (1 + fraction / 8) * 2 ** (exponent - 7);
  return (code & 0x7f) === 0x7f ? NaN : code & 0x80 ? -size : size;
}
function fp8Code(value: number): number {
  let best = 0;
  for (let code = 0; code < 256; code++) {
    const error = Math.abs(fp8Value(code) - value);
    if (error < Math.abs(fp8Value(best) - value)) best = code;
  }
  return best;
}

export type Scheme =
  | 'int4'
  | 'int4 with zero points'
  | 'int4 in an order'
  | 'int8'
  | 'int8 packed'
  | 'fp8'
  | 'awq'
  | 'gptq'
  | 'gptq_v2'
  | 'gptq in an order'
  | 'nf4'
  | 'nf4 double';

export const SCHEMES: readonly Scheme[] = [
  ...(['int4', 'int4 with zero points', 'int4 in an order', 'int8', 'int8 packed', 'fp8'] as const),
  ...(['awq', 'gptq', 'gptq_v2', 'gptq in an order', 'nf4', 'nf4 double'] as const),
];

/** Columns of a scale. */
export const GROUP = 32;

interface Coded {
  readonly tensors: readonly (readonly [suffix: string, tensor: Written])[];
  readonly values: Float32Array;
}

/** bitsandbytes' table of nf4, in units of a block's magnitude. */
export const NF4 = Float32Array.of(
  ...[-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635],
  ...[-0.18477343022823334, -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725],
  ...[0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941],
  ...[0.7229568362236023, 1],
);
const NF4_BLOCK = 64;
const NESTED_BLOCK = 256;

/** Its signed dynamic map of 8 bits: means of equal parts of [0.1, 1], more of them a decade up. */
function dynamicMap(): Float32Array {
  const values = [0, 1];
  for (let i = 0; i < 7; i++) {
    const count = 2 ** i;
    for (let j = 0; j < count; j++) {
      const mean = (0.1 + (0.9 * (j + 0.5)) / count) * 10 ** (i - 6);
      values.push(mean, -mean);
    }
  }
  return Float32Array.from(values).sort();
}

function nearest(table: Float32Array, value: number): number {
  let best = 0;
  table.forEach((own, i) => {
    if (Math.abs(own - value) < Math.abs((table[best] ?? NaN) - value)) best = i;
  });
  return best;
}

const f32 = (values: Float32Array): Written => ({
  dtype: 'F32',
  shape: [values.length],
  bytes: Buffer.from(values.slice().buffer),
});
const u8 = (bytes: Buffer, shape = [bytes.length]): Written => ({ dtype: 'U8', shape, bytes });

/** Blocks of 64 numbers through all rows share a magnitude; doubly quantised, 256 magnitudes share one, around their mean. */
function encodeNf4(isDouble: boolean, rows: number, columns: number, weight: Float32Array): Coded {
  const blocks = (rows * columns) / NF4_BLOCK;
  const blockOf = (of: Float32Array, size: number, b: number): Float32Array =>
    of.subarray(b * size, (b + 1) * size);
  const largest = (of: Float32Array): number =>
    of.reduce((most, value) => Math.max(most, Math.abs(value)), 2 ** -20);
  let scales = Float32Array.from({ length: blocks }, (_, b) =>
    largest(blockOf(weight, NF4_BLOCK, b)),
  );
  const state = {
    quant_type: 'nf4',
    blocksize: NF4_BLOCK,
    dtype: 'bfloat16',
    shape: [rows, columns],
  };
  const nested: [string, Written][] = [];
  let magnitudes = f32(scales);
  if (isDouble) {
    const offset = Math.fround(scales.reduce((sum, value) => sum + value, 0) / blocks);
    const apart = scales.map((value) => value - offset);
    const map = dynamicMap();
    const parts = Float32Array.from({ length: Math.ceil(blocks / NESTED_BLOCK) }, (_, b) =>
      largest(blockOf(apart, NESTED_BLOCK, b)),
    );
    const partOf = (b: number): number => parts[Math.floor(b / NESTED_BLOCK)] ?? NaN;
    const codes = Array.from(apart, (value, b) => nearest(map, value / partOf(b)));
    // Two roundings to fp32.
    scales = Float32Array.from(
      codes,
      (code, b) => Math.fround((map[code] ?? NaN) * partOf(b)) + offset,
    );
    magnitudes = u8(Buffer.from(codes));
    nested.push(['.weight.nested_absmax', f32(parts)], ['.weight.nested_quant_map', f32(map)]);
    Object.assign(state, {
      ...{ nested_blocksize: NESTED_BLOCK, nested_dtype: 'float32', nested_offset: offset },
    });
  }
  const scaleOf = (i: number): number => scales[Math.floor(i / NF4_BLOCK)] ?? NaN;
  const codes = Array.from(weight, (value, i) => nearest(NF4, value / scaleOf(i)));
  const bytes = Buffer.alloc(codes.length / 2);
  // The first of two numbers in the upper half.
  codes.forEach(
    (code, i) => (bytes[i >> 1] = (bytes[i >> 1] ?? 0) | (i % 2 === 0 ? code << 4 : code)),
  );
  return {
    values: Float32Array.from(codes, (code, i) => (NF4[code] ?? NaN) * scaleOf(i)),
    tensors: [
      ['.weight', u8(bytes, [bytes.length, 1])],
      ['.weight.absmax', magnitudes],
      ['.weight.quant_map', f32(NF4)],
      ...nested,
      ['.weight.quant_state.bitsandbytes__nf4', u8(Buffer.from(JSON.stringify(state)))],
    ],
  };
}

/** A weight [rows, columns] in the scheme's files, and what they stand for. */
function encode(scheme: Scheme, rows: number, columns: number, weight: Float32Array): Coded {
  if (scheme.startsWith('nf4')) return encodeNf4(scheme === 'nf4 double', rows, columns, weight);
  const isRowwise = scheme === 'int8' || scheme === 'int8 packed' || scheme === 'fp8';
  const isOrdered = scheme.endsWith('an order');
  const bits = scheme.startsWith('int8') ? 8 : 4;
  const hasZeros = scheme === 'awq' || scheme === 'int4 with zero points' || scheme === 'gptq_v2';
  const groups = isRowwise ? 1 : columns / GROUP;
  // A column's group: in order, or dealt out.
  const groupOf = (k: number): number =>
    isRowwise ? 0 : isOrdered ? (k * 7) % groups : Math.floor(k / GROUP);
  const at = (n: number, k: number): number => weight[n * columns + k] ?? NaN;
  const offset = 2 ** (bits - 1);
  const most = scheme === 'fp8' ? 448 : offset - 1;
  const scales: number[][] = [];
  const zeros: number[][] = [];
  for (let n = 0; n < rows; n++) {
    const largest = new Array<number>(groups).fill(2 ** -8);
    for (let k = 0; k < columns; k++) {
      largest[groupOf(k)] = Math.max(largest[groupOf(k)] ?? 0, Math.abs(at(n, k)));
    }
    scales.push(largest.map((value) => shortened(Math.fround((value * 1.01) / most))));
    zeros.push(largest.map((_, g) => (hasZeros ? ((n + g) % 5) - 2 : 0)));
  }
  const values = new Float32Array(rows * columns);
  /** Around 0. */
  const codes = scales.map((own, n) =>
    Array.from({ length: columns }, (_, k) => {
      const [scale, zero] = [own[groupOf(k)] ?? 1, zeros[n]?.[groupOf(k)] ?? 0];
      const wanted = at(n, k) / scale;
      const code =
        scheme === 'fp8'
          ? fp8Code(wanted)
          : Math.min(offset - 1, Math.max(-offset, Math.round(wanted) + zero));
      values[n * columns + k] = (scheme === 'fp8' ? fp8Value(code) : code - zero) * scale;
      return code;
    }),
  );
  const up = (table: readonly (readonly number[])[], by = offset): number[][] =>
    table.map((row) => row.map((code) => code + by));
  const index: [string, Written][] = isOrdered
    ? [
        [
          scheme.startsWith('gptq') ? '.g_idx' : '.weight_g_idx',
          i32(
            [columns],
            Array.from({ length: columns }, (_, k) => groupOf(k)),
          ),
        ],
      ]
    : [];
  const bytes = Buffer.from(codes.flat().map((code) => code & 255));
  if (scheme === 'int8' || scheme === 'fp8') {
    const dtype = scheme === 'int8' ? ('I8' as const) : ('F8_E4M3' as const);
    return {
      values,
      tensors: [
        ['.weight', { dtype, shape: [rows, columns], bytes }],
        ['.weight_scale', bf16([rows, 1], scales.flat())],
      ],
    };
  }
  if (scheme.startsWith('int')) {
    const packed = packRows(up(codes), bits);
    const shape = Buffer.from(BigInt64Array.of(BigInt(rows), BigInt(columns)).buffer);
    const packedZeros = transposed(packRows(transposed(up(zeros)), bits));
    return {
      values,
      tensors: [
        ['.weight_packed', i32([rows, packed[0]?.length ?? 0], packed.flat())],
        ['.weight_scale', bf16([rows, groups], scales.flat())],
        ['.weight_shape', { dtype: 'I64', shape: [2], bytes: shape }],
        ...(hasZeros
          ? [['.weight_zero_point', i32([packedZeros.length, groups], packedZeros.flat())] as const]
          : []),
        ...index,
      ],
    };
  }
  const byColumn = transposed(up(codes)); // [K, N]
  const zerosByGroup = transposed(
    up(zeros, scheme.startsWith('gptq') && scheme !== 'gptq_v2' ? offset - 1 : offset),
  );
  const isAwq = scheme === 'awq';
  const qweight = isAwq ? packAwq(byColumn) : transposed(packRows(transposed(byColumn), 4));
  const qzeros = isAwq ? packAwq(zerosByGroup) : packRows(zerosByGroup, 4);
  const plainIndex = Array.from({ length: columns }, (_, k) => groupOf(k));
  return {
    values,
    tensors: [
      ['.qweight', i32([qweight.length, qweight[0]?.length ?? 0], qweight.flat())],
      ['.qzeros', i32([groups, qzeros[0]?.length ?? 0], qzeros.flat())],
      ['.scales', f16([groups, rows], transposed(scales).flat())],
      ...(isAwq ? [] : [['.g_idx', i32([columns], plainIndex)] as const]),
    ],
  };
}

/** What the tools write into config.json. */
export function quantisationConfig(scheme: Scheme): Record<string, unknown> {
  if (scheme === 'awq') {
    return { quant_method: 'awq', bits: 4, group_size: GROUP, zero_point: true, version: 'gemm' };
  }
  if (scheme.startsWith('gptq')) {
    return {
      ...{ quant_method: 'gptq', bits: 4, group_size: GROUP, sym: scheme !== 'gptq_v2' },
      ...{ desc_act: scheme.endsWith('order'), damp_percent: 0.01 },
      ...(scheme === 'gptq_v2' && { checkpoint_format: 'gptq_v2' }),
    };
  }
  if (scheme.startsWith('nf4')) {
    return {
      ...{ quant_method: 'bitsandbytes', load_in_4bit: true, load_in_8bit: false },
      ...{ _load_in_4bit: true, _load_in_8bit: false, llm_int8_threshold: 6 },
      ...{ bnb_4bit_quant_type: 'nf4', bnb_4bit_quant_storage: 'uint8' },
      ...{ bnb_4bit_compute_dtype: 'bfloat16', bnb_4bit_use_double_quant: scheme === 'nf4 double' },
    };
  }
  const isFloat = scheme === 'fp8';
  const isGrouped = scheme.startsWith('int4');
  return {
    quant_method: 'compressed-tensors',
    format: isFloat ? 'float-quantized' : scheme === 'int8' ? 'int-quantized' : 'pack-quantized',
    ...{ quantization_status: 'compressed', kv_cache_scheme: null, ignore: ['lm_head'] },
    ...{ global_compression_ratio: null, sparsity_config: {}, version: '0.12.0' },
    config_groups: {
      group_0: {
        targets: ['Linear'],
        weights: {
          ...{ num_bits: isGrouped ? 4 : 8, type: isFloat ? 'float' : 'int' },
          ...{ symmetric: scheme !== 'int4 with zero points', dynamic: false },
          strategy: isGrouped ? 'group' : 'channel',
          group_size: isGrouped ? GROUP : null,
          actorder: scheme === 'int4 in an order' ? 'group' : null,
          ...{ block_structure: null, observer: 'minmax', observer_kwargs: {} },
        },
        ...{ input_activations: null, output_activations: null, format: null },
      },
    },
  };
}

const QUANTISED = /^language_model\..*(?:_proj)\.weight$/;

/**
 * Writes the checkpoint in `from` into `to` with its text layers' projections quantised.
 *
 * @returns what each of these then is, by the tensor's name
 */
export function writeQuantisedCheckpoint(
  from: string,
  to: string,
  scheme: Scheme,
): Map<string, Float32Array> {
  cpSync(from, to, { recursive: true });
  const expected = new Map<string, Float32Array>();
  const tensors = new Map<string, Written>();
  for (const [name, { dtype, shape, data }] of readSafetensors(join(from, 'model.safetensors'))) {
    const numbers = data as Float32Array;
    if (QUANTISED.test(name)) {
      const [rows = 0, columns = 0] = shape;
      const { tensors: own, values } = encode(scheme, rows, columns, numbers);
      for (const [suffix, tensor] of own) tensors.set(name.replace(/\.weight$/, suffix), tensor);
      expected.set(name, values);
    } else if (dtype === 'BF16') {
      tensors.set(name, bf16(shape, [...numbers]));
    } else {
      tensors.set(name, { dtype: 'F32', shape, bytes: Buffer.from(numbers.slice().buffer) });
    }
  }
  writeSafetensors(join(to, 'model.safetensors'), tensors);
  const path = join(to, 'config.json');
  const config = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  writeFileSync(
    path,
    JSON.stringify({ ...config, quantization_config: quantisationConfig(scheme) }),
  );
  return expected;
}
