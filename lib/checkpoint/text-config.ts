/**
 * The language model's part of config.json (`text_config`, in the original layout `llm_config`):
 * Qwen2 with both spellings of its RoPE (docs/internvl3.md, section 2.1). Sizes must be written;
 * other keys default to what transformers' Qwen2Config gives.
 */
import { z } from 'zod';

import type { NativeTextConfig } from '../binding/native.js';
import * as field from './schema.js';

/** How the weights are stored. */
export type StoredDtype = 'bf16' | 'fp16' | 'fp32';

const dtypes: Readonly<Record<string, StoredDtype>> = {
  bfloat16: 'bf16',
  float16: 'fp16',
  float32: 'fp32',
};

/** A dtype as torch spells it, with or without `torch.`; undefined if absent. */
export const dtypeSchema: z.ZodType<StoredDtype | undefined> = field.optional(
  field.readAs(Object.keys(dtypes).join(', '), (raw) =>
    typeof raw === 'string' ? dtypes[raw.replace(/^torch\./, '')] : undefined,
  ),
);

/** `eos_token_id`: one id or several; undefined if absent. */
export const eosSchema: z.ZodType<readonly number[] | undefined> = field.optional(
  field.readAs('a token id or a list of token ids', (raw) => {
    const ids: readonly unknown[] = Array.isArray(raw) ? raw : [raw];
    const areIds = ids.length > 0 && ids.every((id) => field.tokenId.safeParse(id).success);
    return areIds ? (ids as number[]) : undefined;
  }),
);

interface RopeConfig {
  readonly rope_theta: number | undefined;
  readonly rope_type: 'default' | 'dynamic' | undefined;
  readonly type: 'default' | 'dynamic' | undefined;
  readonly factor: number | undefined;
}

/** The parsed section, under its own key names. */
export interface TextConfig {
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly head_dim: number | undefined;
  readonly vocab_size: number;
  readonly max_position_embeddings: number;
  readonly rms_norm_eps: number;
  readonly rope_theta: number | undefined;
  readonly rope_scaling: RopeConfig | undefined;
  readonly rope_parameters: RopeConfig | undefined;
  readonly bos_token_id: number | undefined;
  readonly eos_token_id: readonly number[] | undefined;
  readonly pad_token_id: number | undefined;
  readonly tie_word_embeddings: boolean | undefined;
  readonly dtype: StoredDtype | undefined;
  readonly torch_dtype: StoredDtype | undefined;
}

const ropeObject = z.object({
  rope_theta: field.optional(field.numberAbove(1)),
  rope_type: field.optional(field.oneOf('default', 'dynamic')),
  type: field.optional(field.oneOf('default', 'dynamic')),
  factor: field.optional(field.numberAbove(0)),
  partial_rotary_factor: field.withDefault(field.oneOf(1), 1),
});

const ropeSchema: z.ZodType<RopeConfig | undefined> = field.optional(
  ropeObject.refine((rope) => !isDynamic(rope) || rope.factor !== undefined, {
    path: ['factor'],
    error: 'dynamic scaling needs a factor',
    when: field.whenValid('factor', 'rope_type', 'type'),
  }),
);

function isDynamic(rope: RopeConfig): boolean {
  return (rope.rope_type ?? rope.type) === 'dynamic';
}

const fullAttention = z.array(field.oneOf('full_attention'), {
  error: (issue) => field.expected('a list of "full_attention"', issue.input),
});

const shape = z.object({
  model_type: field.withDefault(field.oneOf('qwen2'), 'qwen2'),
  hidden_size: field.layerSize,
  intermediate_size: field.layerSize,
  num_hidden_layers: field.layerCount,
  num_attention_heads: field.layerSize,
  num_key_value_heads: field.layerSize,
  head_dim: field.optional(field.layerSize),
  vocab_size: field.integer(1, 1 << 24),
  max_position_embeddings: field.withDefault(field.integer(1, 2 ** 31 - 1), 32768),
  rms_norm_eps: field.withDefault(field.numberAbove(0), 1e-6),
  hidden_act: field.withDefault(field.oneOf('silu'), 'silu'),
  use_sliding_window: field.withDefault(field.oneOf(false), false),
  layer_types: field.optional(fullAttention),
  rope_theta: field.optional(field.numberAbove(1)),
  rope_scaling: ropeSchema,
  rope_parameters: ropeSchema,
  bos_token_id: field.optional(field.tokenId),
  eos_token_id: eosSchema,
  pad_token_id: field.optional(field.integer(-1, 2 ** 31 - 1)),
  tie_word_embeddings: field.optional(field.boolean),
  dtype: dtypeSchema,
  torch_dtype: dtypeSchema,
});

function headDim(config: TextConfig): number {
  return config.head_dim ?? config.hidden_size / config.num_attention_heads;
}

// transformers lets rope_scaling win where both spellings are present.
function ropeOf(config: TextConfig): { theta: number | undefined; dynamicFactor: number } {
  const rope = config.rope_scaling ?? config.rope_parameters;
  const theta = rope?.rope_theta ?? config.rope_parameters?.rope_theta ?? config.rope_theta;
  return { theta, dynamicFactor: rope && isDynamic(rope) ? (rope.factor ?? 0) : 0 };
}

export const textConfigSchema: z.ZodType<TextConfig> = shape
  .refine((c) => c.head_dim !== undefined || c.hidden_size % c.num_attention_heads === 0, {
    path: ['num_attention_heads'],
    error: 'must divide hidden_size where no head_dim is given',
    when: field.whenValid('hidden_size', 'num_attention_heads', 'head_dim'),
  })
  .refine((c) => !Number.isInteger(headDim(c)) || headDim(c) % 2 === 0, {
    path: ['head_dim'],
    error: 'must be even: RoPE turns pairs of channels',
    when: field.whenValid('hidden_size', 'num_attention_heads', 'head_dim'),
  })
  .refine((c) => c.num_attention_heads % c.num_key_value_heads === 0, {
    path: ['num_key_value_heads'],
    error: 'must divide num_attention_heads',
    when: field.whenValid('num_attention_heads', 'num_key_value_heads'),
  })
  .refine((c) => ropeOf(c).theta !== undefined, {
    path: ['rope_theta'],
    error: 'is missing, here and in rope_parameters; expected a number above 1',
    when: field.whenValid('rope_theta', 'rope_scaling', 'rope_parameters'),
  });

export function toNativeText(config: TextConfig): NativeTextConfig {
  const rope = ropeOf(config);
  return {
    hiddenSize: config.hidden_size,
    intermediateSize: config.intermediate_size,
    numHiddenLayers: config.num_hidden_layers,
    numAttentionHeads: config.num_attention_heads,
    numKeyValueHeads: config.num_key_value_heads,
    headDim: headDim(config),
    vocabSize: config.vocab_size,
    maxPositionEmbeddings: config.max_position_embeddings,
    rmsNormEps: config.rms_norm_eps,
    ropeTheta: rope.theta ?? 0,
    ropeDynamicFactor: rope.dynamicFactor,
  };
}
