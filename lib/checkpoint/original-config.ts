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
import {
  boolean,
  integer,
  layerCount,
  layerSize,
  numberAbove,
  oneOf,
  optional,
  parseObject,
  type Problems,
  squareSize,
  whenValid,
  withDefault,
} from './schema.js';
import { dtypeSchema, textConfigSchema, toNativeText } from './text-config.js';

const visionShape = z.object({
  model_type: withDefault(oneOf('intern_vit_6b'), 'intern_vit_6b'),
  hidden_size: layerSize,
  intermediate_size: layerSize,
  num_hidden_layers: layerCount,
  num_attention_heads: layerSize,
  qkv_bias: withDefault(boolean, false),
  qk_normalization: withDefault(boolean, true),
  norm_type: withDefault(oneOf('layer_norm', 'rms_norm'), 'rms_norm'),
  layer_norm_eps: withDefault(numberAbove(0), 1e-6),
  image_size: squareSize(),
  patch_size: squareSize(),
  num_channels: withDefault(oneOf(3), 3),
  hidden_act: withDefault(oneOf('gelu'), 'gelu'),
});

const configSchema = z
  .object({
    downsample_ratio: withDefault(downsampleRatio, 0.5),
    // The class default is v1, which orders the tokens of a tile differently.
    ps_version: oneOf('v2'),
    select_layer: withDefault(integer(-1025, 1024), -1),
    template: withDefault(oneOf('internvl2_5'), 'internvl2_5'),
    force_image_size: optional(squareSize()),
    dynamic_image_size: withDefault(boolean, false),
    use_thumbnail: withDefault(boolean, false),
    min_dynamic_patch: withDefault(integer(1, 1000), 1),
    max_dynamic_patch: withDefault(integer(1, 1000), 6),
    pad2square: withDefault(oneOf(false), false),
    tie_word_embeddings: optional(boolean),
    dtype: dtypeSchema,
    torch_dtype: dtypeSchema,
    llm_config: textConfigSchema,
    vision_config: checkVision(visionShape),
  })
  .refine((c) => isFeatureLayer(c.select_layer, c.vision_config.num_hidden_layers), {
    path: ['select_layer'],
    error: 'names no layer of the vision tower',
    when: whenValid('select_layer', 'vision_config'),
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
      when: whenValid('downsample_ratio', 'force_image_size', 'vision_config'),
    },
  )
  .refine((c) => c.min_dynamic_patch <= c.max_dynamic_patch, {
    path: ['min_dynamic_patch'],
    error: 'must not exceed max_dynamic_patch',
    when: whenValid('min_dynamic_patch', 'max_dynamic_patch'),
  });

/** undefined after reporting everything that is wrong. */
export function parseOriginalConfig(raw: JsonObject, problems: Problems): ParsedConfig | undefined {
  const config = parseObject(configSchema, raw, 'config.json', problems);
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
