/**
 * What a checkpoint says of quantised weights: compressed-tensors, AWQ's gemm form, GPTQ, bitsandbytes' nf4 (docs/quantisation.md,
 * "Files"). A field that is not understood is refused by its name: half of a scheme would be another one.
 */
import { join } from 'node:path';

import type { NativeQuantisation } from '../binding/native.js';
import { isJsonObject, type JsonObject } from '../files/index.js';
import { omit, readListedJson } from './json-file.js';
import { expected, type Problems } from './schema.js';

export interface StoredQuantisation extends NativeQuantisation {
  /** As a reader knows it: `compressed-tensors`, `awq`, `gptq`, `bitsandbytes`. */
  readonly method: string;
  /** Of nf4: the scales are quantised, too, which is `nf4-double` already. Absent: they are whole, or the record is older. */
  readonly isDouble?: boolean | undefined;
}

/** Reads fields of one object, and finds those that nobody reads. */
class Fields {
  readonly #object: JsonObject;
  readonly #place: string;
  readonly #problems: Problems;
  readonly #known = new Set<string>();

  constructor(object: JsonObject, place: string, problems: Problems) {
    this.#object = object;
    this.#place = place;
    this.#problems = problems;
  }

  /** Without a meaning for what the weights are. */
  ignore(...names: readonly string[]): void {
    for (const name of names) this.#known.add(name);
  }

  get(...names: readonly string[]): unknown {
    for (const name of names) this.#known.add(name);
    return names.map((name) => this.#object[name]).find((value) => value !== undefined);
  }

  /** The field must be one of these; absent or null: the first. */
  oneOf<T>(names: readonly string[], ...choices: readonly [T, ...T[]]): T {
    const value = this.get(...names) ?? choices[0];
    const found = choices.find((choice) => choice === value);
    if (found === undefined) {
      this.fail(
        names[0] ?? '',
        choices.map((choice) => JSON.stringify(choice)).join(' or '),
        value,
      );
    }
    return found ?? choices[0];
  }

  /** Nothing that would change anything: absent, null, or an empty object or list. */
  nothing(...names: readonly string[]): void {
    for (const name of names) {
      const value = this.get(name) ?? {};
      const isEmpty = typeof value === 'object' && Object.keys(value).length === 0;
      if (!isEmpty) this.fail(name, 'nothing', value);
    }
  }

  /** Columns that share a scale; 0: a row. */
  group(...names: readonly string[]): number {
    const value = this.get(...names);
    if (value === -1 || value === undefined || value === null) return 0;
    if (Number.isSafeInteger(value) && Number(value) >= 8 && Number(value) % 8 === 0) {
      return Number(value);
    }
    this.fail(names[0] ?? '', 'a multiple of 8, or -1', value);
    return 0;
  }

  fail(name: string, wanted: string, value: unknown): void {
    this.#problems.push(`${this.#place}.${name}: ${expected(wanted, value)}`);
  }

  finish(): void {
    for (const name of Object.keys(this.#object)) {
      if (!this.#known.has(name)) {
        this.#problems.push(
          `${this.#place}.${name}: is not understood; the weights might mean something else`,
        );
      }
    }
  }
}

function awq(object: JsonObject, place: string, problems: Problems): StoredQuantisation {
  const fields = new Fields(object, place, problems);
  fields.ignore('quant_method', 'modules_to_not_convert', 'backend', 'exllama_config');
  fields.ignore('do_fuse', 'modules_to_fuse', 'fuse_max_seq_len');
  fields.oneOf(['bits', 'w_bit'], 4);
  // Others order the same numbers in another way.
  const version = fields.get('version') ?? 'gemm';
  const isGemm = typeof version === 'string' && version.toLowerCase() === 'gemm';
  if (!isGemm) fields.fail('version', '"gemm"', version);
  fields.oneOf(['zero_point'], true);
  const group = fields.group('group_size', 'q_group_size');
  fields.finish();
  return { method: 'awq', format: 'awq', bits: 4, group, isSymmetric: false };
}

/** Of how the codes were found, and of programs that run them. */
const GPTQ_NOTES = [
  ...['quant_method', 'damp_percent', 'damp_auto_increment', 'static_groups', 'true_sequential'],
  ...['model_name_or_path', 'model_file_base_name', 'meta', 'dataset', 'tokenizer', 'batch_size'],
  ...['model_seqlen', 'block_name_to_quantize', 'module_name_preceding_first_block', 'backend'],
  ...['pad_token_id', 'use_cuda_fp16', 'max_input_length', 'exllama_config', 'use_exllama'],
  ...['disable_exllama', 'cache_block_outputs', 'modules_in_block_to_quantize', 'mse', 'desc'],
];

function gptq(object: JsonObject, place: string, problems: Problems): StoredQuantisation {
  const fields = new Fields(object, place, problems);
  fields.ignore(...GPTQ_NOTES);
  const bits = fields.oneOf<4 | 8>(['bits'], 4, 8);
  const format = fields.oneOf<'gptq' | 'gptq_v2'>(['checkpoint_format'], 'gptq', 'gptq_v2');
  const isOrdered = !fields.oneOf(['desc_act'], false, true);
  const isSymmetric = fields.oneOf(['sym'], true, false);
  fields.oneOf(['is_marlin_format'], false);
  fields.oneOf(['lm_head'], false);
  fields.oneOf(['pack_dtype'], 'int32');
  const group = fields.group('group_size');
  fields.finish();
  return { method: 'gptq', format, bits, group, isSymmetric: isSymmetric && isOrdered };
}

type CompressedFormat = 'pack-quantized' | 'int-quantized' | 'float-quantized';
const COMPRESSED: readonly CompressedFormat[] = [
  'pack-quantized',
  'int-quantized',
  'float-quantized',
];

function weightArguments(
  value: unknown,
  format: CompressedFormat,
  place: string,
  problems: Problems,
): StoredQuantisation | undefined {
  if (!isJsonObject(value)) {
    problems.push(`${place}: ${expected('an object', value)}`);
    return undefined;
  }
  const fields = new Fields(value, place, problems);
  fields.ignore('observer', 'observer_kwargs', 'scale_dtype', 'zp_dtype', 'is_mse');
  const isFloat = format === 'float-quantized';
  const bits =
    format === 'pack-quantized'
      ? fields.oneOf<4 | 8>(['num_bits'], 4, 8)
      : fields.oneOf<8>(['num_bits'], 8);
  fields.oneOf(['type'], isFloat ? 'float' : 'int');
  const isSymmetric = isFloat
    ? fields.oneOf(['symmetric'], true)
    : fields.oneOf(['symmetric'], true, false);
  const strategy = fields.oneOf<string>(['strategy'], 'channel', 'tensor', 'group');
  const group = fields.group('group_size');
  if ((strategy === 'group') !== group > 0) {
    fields.fail('group_size', strategy === 'group' ? 'a size' : 'nothing', value['group_size']);
  }
  // Its static form leaves the columns in their places.
  const order = fields.oneOf<unknown>(
    ['actorder'],
    null,
    'group',
    'weight',
    'static',
    'dynamic',
    false,
  );
  fields.oneOf(['dynamic'], false);
  fields.nothing('block_structure');
  fields.finish();
  const isOrdered = order === null || order === 'weight' || order === 'static' || order === false;
  return {
    ...{ method: 'compressed-tensors', format, bits, group },
    isSymmetric: isSymmetric && isOrdered,
  };
}

function compressed(
  object: JsonObject,
  place: string,
  problems: Problems,
): StoredQuantisation | undefined {
  const fields = new Fields(object, place, problems);
  // Which modules are quantised their tensors tell.
  fields.ignore('quant_method', 'ignore', 'global_compression_ratio', 'version');
  fields.nothing('kv_cache_scheme', 'transform_config');
  fields.oneOf(['quantization_status'], 'compressed');
  const sparsity = fields.get('sparsity_config') ?? {};
  const isDense =
    isJsonObject(sparsity) &&
    (Object.keys(sparsity).length === 0 || sparsity['format'] === 'dense');
  if (!isDense) fields.fail('sparsity_config', 'nothing, or the format "dense"', sparsity);
  const format = fields.get('format');
  const known = COMPRESSED.find((one) => one === format);
  if (known === undefined) {
    fields.fail('format', COMPRESSED.map((one) => JSON.stringify(one)).join(' or '), format);
  }
  const groups = fields.get('config_groups');
  fields.finish();
  if (!isJsonObject(groups) || Object.keys(groups).length === 0) {
    problems.push(`${place}.config_groups: ${expected('at least one group', groups)}`);
    return undefined;
  }
  if (known === undefined) return undefined;
  const found = Object.entries(groups).map(([name, group]) => {
    const at = `${place}.config_groups.${name}`;
    if (!isJsonObject(group)) {
      problems.push(`${at}: ${expected('an object', group)}`);
      return undefined;
    }
    const own = new Fields(group, at, problems);
    // Activations stay as they are here: nothing is lost in them.
    own.ignore('targets', 'input_activations', 'output_activations');
    own.oneOf<unknown>(['format'], null, known);
    const weights = own.get('weights');
    own.finish();
    return weightArguments(weights, known, `${at}.weights`, problems);
  });
  const [first, ...others] = found;
  if (others.some((other) => JSON.stringify(other) !== JSON.stringify(first))) {
    problems.push(
      `${place}.config_groups: expected groups with the same weights, got several schemes`,
    );
  }
  return first;
}

/** Of its own int8, and of how products are computed. */
const BITSANDBYTES_NOTES = [
  ...['quant_method', 'bnb_4bit_compute_dtype', 'bnb_4bit_use_double_quant', '_load_in_4bit'],
  ...['_load_in_8bit', 'llm_int8_enable_fp32_cpu_offload', 'llm_int8_has_fp16_weight'],
  ...['llm_int8_skip_modules', 'llm_int8_threshold', 'dtype', 'torch_dtype'],
];

/** Whether magnitudes are quantised, too, each weight's own text says to the engine; here it is what an adapter's record tells. */
function bitsandbytes(object: JsonObject, place: string, problems: Problems): StoredQuantisation {
  const fields = new Fields(object, place, problems);
  fields.ignore(...BITSANDBYTES_NOTES);
  fields.oneOf(['load_in_4bit'], true);
  fields.oneOf(['load_in_8bit'], false);
  const type = fields.get('bnb_4bit_quant_type');
  if (type !== 'nf4') fields.fail('bnb_4bit_quant_type', '"nf4"', type);
  fields.oneOf(['bnb_4bit_quant_storage'], 'uint8');
  fields.finish();
  return {
    ...{ method: 'bitsandbytes', format: 'nf4', bits: 4, group: 64, isSymmetric: true },
    ...(object['bnb_4bit_use_double_quant'] === true && { isDouble: true }),
  };
}

const METHODS: Readonly<
  Record<
    string,
    (object: JsonObject, place: string, problems: Problems) => StoredQuantisation | undefined
  >
> = { 'compressed-tensors': compressed, awq, gptq, bitsandbytes };

/** Files of their own that older tools write, and the method that each stands for. */
const OWN_FILES = { 'quantize_config.json': 'gptq', 'quant_config.json': 'awq' } as const;

/**
 * Of a checkpoint that is not quantised undefined, as after reporting what is wrong.
 *
 * @param raw config.json
 */
export async function readQuantisation(
  directory: string,
  raw: JsonObject,
  problems: Problems,
): Promise<StoredQuantisation | undefined> {
  const sections = [
    ['config.json', raw] as const,
    ...['text_config', 'llm_config'].map(
      (name) => [`config.json: ${name}`, isJsonObject(raw[name]) ? raw[name] : {}] as const,
    ),
  ];
  for (const [place, section] of sections) {
    for (const key of ['quantization_config', 'compression_config']) {
      const value = section[key];
      if (value === undefined || value === null) continue;
      const at = place === 'config.json' ? `config.json: ${key}` : `${place}.${key}`;
      if (isJsonObject(value)) return byMethod(value['quant_method'], value, at, problems);
      problems.push(`${at}: ${expected('an object', value)}`);
      return undefined;
    }
  }
  for (const [file, method] of Object.entries(OWN_FILES)) {
    const value = await readListedJson(join(directory, file), problems);
    if (value)
      return byMethod(value['quant_method'] ?? method, value, `${file}: quantisation`, problems);
  }
  return undefined;
}

function byMethod(
  method: unknown,
  value: JsonObject,
  place: string,
  problems: Problems,
): StoredQuantisation | undefined {
  const known = typeof method === 'string' && Object.hasOwn(METHODS, method);
  const read = known ? METHODS[method] : undefined;
  if (read !== undefined) return read(value, place, problems);
  const names = Object.keys(METHODS).map((name) => JSON.stringify(name));
  problems.push(
    `${place}.quant_method: ${expected(names.join(' or '), method)}; fetch the model in one of these, or unquantised`,
  );
  return undefined;
}

const KEYS = ['quantization_config', 'compression_config'];

/** config.json of the same model with plain weights. */
export function withoutQuantisation(raw: JsonObject): JsonObject {
  const entries = Object.entries(omit(raw, KEYS)).map(([key, value]): [string, unknown] => {
    const isText = (key === 'text_config' || key === 'llm_config') && isJsonObject(value);
    return [key, isText ? omit(value, KEYS) : value];
  });
  return Object.fromEntries(entries);
}

/** Names of modules that stay as they are, in either layout and as transformers has them in memory. */
const PLAIN_MODULES = [
  'lm_head',
  'language_model.lm_head',
  're:.*vision_tower.*',
  're:.*vision_model.*',
  're:.*multi_modal_projector.*',
  're:.*mlp1.*',
];

/** `quantization_config` as compressed-tensors writes it, for files whose text layers' projections are in this form. */
export function compressedTensorsConfig({ format, bits, group }: NativeQuantisation): JsonObject {
  const isFloat = format === 'float-quantized';
  const common = { symmetric: true, actorder: null, block_structure: null, observer_kwargs: {} };
  const weights = {
    ...{ num_bits: bits, type: isFloat ? 'float' : 'int', ...common, dynamic: false },
    ...(group > 0 ? { strategy: 'group', group_size: group } : { strategy: 'channel' }),
    ...(group > 0 ? {} : { group_size: null }),
    observer: 'minmax',
  };
  // Of a token, when it comes: what int8 and fp8 products of vLLM take. int4 leaves them as they are.
  const activations = {
    ...{ num_bits: 8, type: isFloat ? 'float' : 'int', ...common, dynamic: true },
    ...{ strategy: 'token', group_size: null, observer: null },
  };
  return {
    quant_method: 'compressed-tensors',
    format,
    quantization_status: 'compressed',
    global_compression_ratio: null,
    kv_cache_scheme: null,
    ignore: PLAIN_MODULES,
    config_groups: {
      group_0: {
        targets: ['Linear'],
        weights,
        input_activations: format === 'pack-quantized' ? null : activations,
        output_activations: null,
      },
    },
  };
}
