/**
 * config.json of the original layout, `model_type: internvl_chat` (docs/internvl3.md, section 2.2),
 * whose remote code has other class defaults than transformers: they matter only where a file omits
 * a key, which the released ones do not.
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
  model_type: field.withDefault(field.oneOf('intern_vit_6b'), 'intern_vit_6b'),
  hidden_size: field.layerSize,
  intermediate_size: field.layerSize,
  num_hidden_layers: field.layerCount,
  num_attention_heads: field.layerSize,
  qkv_bias: field.withDefault(field.boolean, false),
  qk_normalization: field.withDefault(field.boolean, true),
  norm_type: field.withDefault(field.oneOf('layer_norm', 'rms_norm'), 'rms_norm'),
  layer_norm_eps: field.withDefault(field.numberAbove(0), 1e-6),
  image_size: field.squareSize,
  patch_size: field.squareSize,
  num_channels: field.withDefault(field.oneOf(3), 3),
  hidden_act: field.withDefault(field.oneOf('gelu'), 'gelu'),
});

const configSchema = z
  .object({
    downsample_ratio: field.withDefault(downsampleRatio, 0.5),
    // The class default is v1, which orders the tokens of a tile differently.
    ps_version: field.oneOf('v2'),
    select_layer: field.withDefault(field.integer(-1025, 1024), -1),
    template: field.withDefault(field.oneOf('internvl2_5'), 'internvl2_5'),
    force_image_size: field.optional(field.squareSize),
    dynamic_image_size: field.withDefault(field.boolean, false),
    use_thumbnail: field.withDefault(field.boolean, false),
    min_dynamic_patch: field.withDefault(field.integer(1, 1000), 1),
    max_dynamic_patch: field.withDefault(field.integer(1, 1000), 6),
    pad2square: field.withDefault(field.oneOf(false), false),
    tie_word_embeddings: field.optional(field.boolean),
    dtype: dtypeSchema,
    torch_dtype: dtypeSchema,
    llm_config: textConfigSchema,
    vision_config: checkVision(visionShape),
  })
  .refine((c) => isFeatureLayer(c.select_layer, c.vision_config.num_hidden_layers), {
    path: ['select_layer'],
    error: 'names no layer of the vision tower',
    when: field.whenValid('select_layer', 'vision_config'),
  })
  .refine(
    (c) => {
      const { image_size: stated, patch_size } = c.vision_config;
      const size = c.force_image_size ?? stated;
      return tokensPerTile(size, patch_size, c.downsample_ratio) !== undefined;
    },
    {
      path: ['downsample_ratio'],
      error: 'the patches of a tile cannot be joined evenly at this ratio',
      when: field.whenValid('downsample_ratio', 'force_image_size', 'vision_config'),
    },
  )
  .refine((c) => c.min_dynamic_patch <= c.max_dynamic_patch, {
    path: ['min_dynamic_patch'],
    error: 'must not exceed max_dynamic_patch',
    when: field.whenValid('min_dynamic_patch', 'max_dynamic_patch'),
  });

/** undefined after reporting everything that is wrong. */
export function parseOriginalConfig(
  raw: JsonObject,
  problems: field.Problems,
): ParsedConfig | undefined {
  const config = field.parseObject(configSchema, raw, 'config.json', problems);
  if (config === undefined) return undefined;
  const { llm_config: text, vision_config: vision } = config;
  const imageSize = config.force_image_size ?? vision.image_size;
  const isTiled = config.dynamic_image_size;
  return {
    vision: {
      hiddenSize: vision.hidden_size,
      intermediateSize: vision.intermediate_size,
      numHiddenLayers: vision.num_hidden_layers,
      numAttentionHeads: vision.num_attention_heads,
      imageSize,
      patchSize: vision.patch_size,
      hasQkvBias: vision.qkv_bias,
      hasQkNorm: vision.qk_normalization,
      isRmsNorm: vision.norm_type === 'rms_norm',
      normEps: vision.layer_norm_eps,
      hasFinalNorm: false,
    },
    text: toNativeText(text),
    downsampleRatio: config.downsample_ratio,
    imageSeqLength: tokensPerTile(imageSize, vision.patch_size, config.downsample_ratio) ?? 0,
    visionFeatureLayer: config.select_layer,
    dtype: config.dtype ?? config.torch_dtype ?? text.dtype ?? text.torch_dtype ?? 'bf16',
    // Its config class hands the language model's word on.
    tiesEmbeddings: text.tie_word_embeddings ?? config.tie_word_embeddings ?? false,
    ...tokenIdsOf(text),
    tiling: {
      min: isTiled ? config.min_dynamic_patch : 1,
      max: isTiled ? config.max_dynamic_patch : 1,
      useThumbnail: config.use_thumbnail,
    },
  };
}
