/**
 * config.json of the HF layout, `model_type: internvl` (docs/internvl3.md, section 2.1). Keys that
 * are absent have the defaults of transformers' InternVLConfig and InternVLVisionConfig, since newer
 * versions leave them out when saving.
 */
import { z } from 'zod';

import type { JsonObject } from '../files/index.js';
import {
  checkVision,
  downsampleRatio,
  isFeatureLayer,
  type ParsedConfig,
  tokenIdsOf,
  tokensPerTile,
} from './parsed-config.js';
import * as field from './schema.js';
import { dtypeSchema, textConfigSchema, toNativeText } from './text-config.js';

const visionShape = z.object({
  model_type: field.withDefault(field.oneOf('internvl_vision'), 'internvl_vision'),
  hidden_size: field.withDefault(field.layerSize, 1024),
  intermediate_size: field.withDefault(field.layerSize, 4096),
  num_hidden_layers: field.withDefault(field.layerCount, 24),
  num_attention_heads: field.withDefault(field.layerSize, 16),
  attention_bias: field.withDefault(field.boolean, false),
  use_qk_norm: field.withDefault(field.boolean, false),
  norm_type: field.withDefault(field.oneOf('layer_norm', 'rms_norm'), 'layer_norm'),
  layer_norm_eps: field.withDefault(field.numberAbove(0), 1e-6),
  image_size: field.withDefault(field.squareSize, 448),
  patch_size: field.withDefault(field.squareSize, 14),
  num_channels: field.withDefault(field.oneOf(3), 3),
  hidden_act: field.withDefault(field.oneOf('gelu'), 'gelu'),
  use_absolute_position_embeddings: field.withDefault(field.oneOf(true), true),
  use_mask_token: field.withDefault(field.oneOf(false), false),
  use_mean_pooling: field.withDefault(field.boolean, true),
});

const configSchema = z
  .object({
    downsample_ratio: field.withDefault(downsampleRatio, 0.5),
    image_seq_length: field.withDefault(field.integer(1, 1 << 20), 256),
    image_token_id: field.withDefault(field.tokenId, 151667),
    projector_hidden_act: field.withDefault(field.oneOf('gelu'), 'gelu'),
    vision_feature_layer: field.withDefault(field.integer(-1025, 1024), -1),
    // With 'full' the CLS token would stay among the patches, which then form no square grid.
    vision_feature_select_strategy: field.withDefault(field.oneOf('default'), 'default'),
    tie_word_embeddings: field.optional(field.boolean),
    dtype: dtypeSchema,
    torch_dtype: dtypeSchema,
    text_config: textConfigSchema,
    vision_config: checkVision(visionShape),
  })
  .refine((c) => isFeatureLayer(c.vision_feature_layer, c.vision_config.num_hidden_layers), {
    path: ['vision_feature_layer'],
    error: 'names no layer of the vision tower',
    when: field.whenValid('vision_feature_layer', 'vision_config'),
  })
  .refine(
    (c) => {
      const { image_size, patch_size } = c.vision_config;
      return tokensPerTile(image_size, patch_size, c.downsample_ratio) === c.image_seq_length;
    },
    {
      path: ['image_seq_length'],
      error: 'must be (image_size / patch_size * downsample_ratio)²',
      when: field.whenValid('image_seq_length', 'downsample_ratio', 'vision_config'),
    },
  )
  .refine((c) => c.image_token_id < c.text_config.vocab_size, {
    path: ['image_token_id'],
    error: 'must be below text_config.vocab_size',
    when: field.whenValid('image_token_id', 'text_config'),
  });

/** undefined after reporting everything that is wrong. */
export function parseHfConfig(raw: JsonObject, problems: field.Problems): ParsedConfig | undefined {
  const config = field.parseObject(configSchema, raw, 'config.json', problems);
  if (config === undefined) return undefined;
  const { text_config: text, vision_config: vision } = config;
  return {
    vision: {
      hiddenSize: vision.hidden_size,
      intermediateSize: vision.intermediate_size,
      numHiddenLayers: vision.num_hidden_layers,
      numAttentionHeads: vision.num_attention_heads,
      imageSize: vision.image_size,
      patchSize: vision.patch_size,
      hasQkvBias: vision.attention_bias,
      hasQkNorm: vision.use_qk_norm,
      isRmsNorm: vision.norm_type === 'rms_norm',
      normEps: vision.layer_norm_eps,
      hasFinalNorm: !vision.use_mean_pooling,
    },
    text: toNativeText(text),
    downsampleRatio: config.downsample_ratio,
    imageSeqLength: config.image_seq_length,
    visionFeatureLayer: config.vision_feature_layer,
    dtype: config.dtype ?? config.torch_dtype ?? text.dtype ?? text.torch_dtype ?? 'bf16',
    // transformers 5 goes by the first, transformers 4 by the second.
    tiesEmbeddings: config.tie_word_embeddings ?? text.tie_word_embeddings ?? false,
    imageTokenId: config.image_token_id,
    ...tokenIdsOf(text),
  };
}
