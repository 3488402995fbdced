/**
 * config.json of one layout from that of the other (docs/internvl3.md, section 2). What the reader of this room
 * takes from either is the same; keys that it does not read are carried over where the other layout has them, and
 * else get the values of the released files.
 */
import type { CheckpointConfig, CheckpointLayout } from './config.js';
import { isJsonObject, type JsonObject } from '../files/index.js';
import { compressedTensorsConfig } from './compressed-tensors.js';
import { omit } from './json-file.js';
import { withoutQuantisation } from './quantisation-config.js';
import type { NativeQuantisation } from '../binding/native.js';

export type StoredDtypeName = 'bf16' | 'fp16' | 'fp32';

const TORCH_NAMES = { bf16: 'bfloat16', fp16: 'float16', fp32: 'float32' } as const;

function section(raw: JsonObject, name: string): JsonObject {
  const value = raw[name];
  return isJsonObject(value) ? value : {};
}

/** The language model's section, RoPE in the form that every version reads. */
function textSection(source: JsonObject, config: CheckpointConfig): JsonObject {
  const rest = omit(source, ['rope_parameters', 'dtype']);
  const { ropeTheta, ropeDynamicFactor, headDim, hiddenSize, numAttentionHeads } =
    config.model.text;
  const isDynamic = ropeDynamicFactor > 0;
  return {
    ...rest,
    architectures: ['Qwen2ForCausalLM'],
    model_type: 'qwen2',
    ...(headDim * numAttentionHeads === hiddenSize ? {} : { head_dim: headDim }),
    rope_theta: ropeTheta,
    rope_scaling: isDynamic
      ? { factor: ropeDynamicFactor, rope_type: 'dynamic', type: 'dynamic' }
      : null,
    torch_dtype: source['torch_dtype'] ?? source['dtype'] ?? TORCH_NAMES[config.dtype],
  };
}

/** Both layouts' vision keys that mean the same. */
function sharedVision(source: JsonObject, config: CheckpointConfig): JsonObject {
  const { vision } = config.model;
  return {
    architectures: ['InternVisionModel'],
    attention_dropout: source['attention_dropout'] ?? 0,
    dropout: source['dropout'] ?? 0,
    hidden_act: 'gelu',
    hidden_size: vision.hiddenSize,
    initializer_factor: source['initializer_factor'] ?? 0.1,
    initializer_range: source['initializer_range'] ?? 1e-10,
    intermediate_size: vision.intermediateSize,
    layer_norm_eps: vision.normEps,
    norm_type: vision.isRmsNorm ? 'rms_norm' : 'layer_norm',
    num_attention_heads: vision.numAttentionHeads,
    num_channels: 3,
    num_hidden_layers: vision.numHiddenLayers,
    torch_dtype: TORCH_NAMES[config.dtype],
  };
}

function toOriginal(raw: JsonObject, config: CheckpointConfig, isTied: boolean): JsonObject {
  const { vision, text } = config.model;
  return {
    architectures: ['InternVLChatModel'],
    downsample_ratio: config.model.downsampleRatio,
    dynamic_image_size: true,
    force_image_size: vision.imageSize,
    hidden_size: text.hiddenSize,
    llm_config: {
      ...textSection(section(raw, 'text_config'), config),
      tie_word_embeddings: isTied,
    },
    max_dynamic_patch: config.maxTiles,
    min_dynamic_patch: config.minTiles,
    model_type: 'internvl_chat',
    pad2square: false,
    ps_version: 'v2',
    select_layer: config.model.visionFeatureLayer,
    template: 'internvl2_5',
    tie_word_embeddings: isTied,
    torch_dtype: TORCH_NAMES[config.dtype],
    use_backbone_lora: 0,
    use_llm_lora: 0,
    use_thumbnail: config.useThumbnail,
    vision_config: {
      ...sharedVision(section(raw, 'vision_config'), config),
      drop_path_rate: 0,
      image_size: vision.imageSize,
      model_type: 'intern_vit_6b',
      patch_size: vision.patchSize,
      qk_normalization: vision.hasQkNorm,
      qkv_bias: vision.hasQkvBias,
      use_flash_attn: false,
    },
  };
}

function toHf(raw: JsonObject, config: CheckpointConfig, isTied: boolean): JsonObject {
  const { vision } = config.model;
  const [eos] = config.generation.eosTokenIds;
  return {
    architectures: ['InternVLForConditionalGeneration'],
    downsample_ratio: config.model.downsampleRatio,
    image_seq_length: config.model.imageSeqLength,
    image_token_id: config.model.imageTokenId,
    model_type: 'internvl',
    projector_hidden_act: 'gelu',
    text_config: {
      ...textSection(section(raw, 'llm_config'), config),
      // Chat ends at <|im_end|> whatever the original file says.
      eos_token_id: eos,
      tie_word_embeddings: isTied,
    },
    tie_word_embeddings: isTied,
    torch_dtype: TORCH_NAMES[config.dtype],
    vision_config: {
      ...sharedVision(section(raw, 'vision_config'), config),
      attention_bias: vision.hasQkvBias,
      hidden_dropout_prob: 0,
      image_size: [vision.imageSize, vision.imageSize],
      layer_scale_init_value: 0.1,
      model_type: 'internvl_vision',
      patch_size: [vision.patchSize, vision.patchSize],
      projection_dropout: 0,
      use_absolute_position_embeddings: true,
      use_mask_token: false,
      use_mean_pooling: !vision.hasFinalNorm,
      use_qk_norm: vision.hasQkNorm,
    },
    vision_feature_layer: config.model.visionFeatureLayer,
    vision_feature_select_strategy: 'default',
  };
}

/** config.json of the HF layout for a model that has none yet; `text` holds the language model's own keys. */
export function hfConfigJson(
  config: CheckpointConfig,
  text: JsonObject,
  isTied: boolean,
): JsonObject {
  return toHf({ llm_config: text }, config, isTied);
}

/** The same file for weights of another dtype: every place that states one. */
function withDtype(raw: JsonObject, dtype: StoredDtypeName): JsonObject {
  const changed = Object.fromEntries(
    Object.entries(raw).map(([key, value]): [string, unknown] => {
      if (key === 'dtype' || key === 'torch_dtype') return [key, TORCH_NAMES[dtype]];
      const isSection = key.endsWith('_config') && isJsonObject(value);
      return [key, isSection ? withDtype(value, dtype) : value];
    }),
  );
  return changed;
}

/** The same file where what it states of tying is true of the weights; one that states nothing stays so. */
function withTying(raw: JsonObject, isTied: boolean): JsonObject {
  const changed = Object.entries(raw).map(([key, value]): [string, unknown] => {
    if (key === 'tie_word_embeddings') return [key, isTied];
    const isText = (key === 'text_config' || key === 'llm_config') && isJsonObject(value);
    return [key, isText ? withTying(value, isTied) : value];
  });
  return Object.fromEntries(changed);
}

export interface ConvertConfigOptions {
  readonly layout: CheckpointLayout;
  /** Absent: as it is. */
  readonly dtype: StoredDtypeName | undefined;
  /** The weights hold no head of their own: it shares the embedding. */
  readonly isTied: boolean;
  /** In which form the text layers' projections are written; absent: plain. */
  readonly quantisation?: NativeQuantisation | undefined;
}

/**
 * @param given config.json as it lies beside the weights
 * @param config what {@link readCheckpointConfig} made of its folder
 */
export function convertConfig(
  given: JsonObject,
  config: CheckpointConfig,
  options: ConvertConfigOptions,
): JsonObject {
  const plain = convertPlain(withoutQuantisation(given), config, options);
  const { quantisation } = options;
  if (quantisation === undefined) return plain;
  return { ...plain, quantization_config: compressedTensorsConfig(quantisation) };
}

function convertPlain(
  raw: JsonObject,
  config: CheckpointConfig,
  { layout, dtype: wanted, isTied }: ConvertConfigOptions,
): JsonObject {
  // Quantised weights are written in bf16 where nothing else is asked for.
  const dtype = wanted ?? (config.quantisation === undefined ? undefined : 'bf16');
  const convert = layout === 'original' ? toOriginal : toHf;
  const converted =
    layout === config.layout ? withTying(raw, isTied) : convert(raw, config, isTied);
  if (dtype === undefined) return converted;
  const changed = withDtype(converted, dtype);
  const statesDtype = changed['dtype'] !== undefined || changed['torch_dtype'] !== undefined;
  return statesDtype ? changed : { ...changed, torch_dtype: TORCH_NAMES[dtype] };
}
