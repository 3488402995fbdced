/** What AWQ's gemm form, GPTQ and bitsandbytes' nf4 say of their weights: one flat object each, one scheme for all weights. */
import type { JsonObject } from '../files/index.js';
import { QuantisationFields } from './quantisation-fields.js';
import type { Problems } from './schema.js';
import type { StoredQuantisation } from './stored-quantisation.js';

export function awq(object: JsonObject, place: string, problems: Problems): StoredQuantisation {
  const fields = new QuantisationFields(object, place, problems);
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

export function gptq(object: JsonObject, place: string, problems: Problems): StoredQuantisation {
  const fields = new QuantisationFields(object, place, problems);
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

/** Of its own int8, and of how products are computed. */
const BITSANDBYTES_NOTES = [
  ...['quant_method', 'bnb_4bit_compute_dtype', 'bnb_4bit_use_double_quant', '_load_in_4bit'],
  ...['_load_in_8bit', 'llm_int8_enable_fp32_cpu_offload', 'llm_int8_has_fp16_weight'],
  ...['llm_int8_skip_modules', 'llm_int8_threshold', 'dtype', 'torch_dtype'],
];

/** Whether magnitudes are quantised, too, each weight's own text says to the engine; here it is what an adapter's record tells. */
export function bitsandbytes(
  object: JsonObject,
  place: string,
  problems: Problems,
): StoredQuantisation {
  const fields = new QuantisationFields(object, place, problems);
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
