/** compressed-tensors' config: groups of modules and the scheme of their weights, read and written. */
import type { NativeQuantisation } from '../binding/native.js';
import { isJsonObject, type JsonObject } from '../files/index.js';
import { QuantisationFields } from './quantisation-fields.js';
import { expected, type Problems } from './schema.js';
import type { StoredQuantisation } from './stored-quantisation.js';

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
  const fields = new QuantisationFields(value, place, problems);
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

export function compressedTensors(
  object: JsonObject,
  place: string,
  problems: Problems,
): StoredQuantisation | undefined {
  const fields = new QuantisationFields(object, place, problems);
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
    const own = new QuantisationFields(group, at, problems);
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
