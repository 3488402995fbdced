/** A shape and a tokenizer as the configuration files of the HF layout. */
import {
  type CheckpointConfig,
  hfCompanions,
  hfConfigJson,
  IMAGENET_PREPROCESSING,
} from '../checkpoint/index.js';
import type { JsonObject } from '../files/index.js';
import type { WrittenTokenizer } from '../tokenizer/index.js';
import { type ModelShape, tokensOfTile } from './model-shape.js';

/** As in all released sizes: InternViT-300M's kind of tower, Qwen2.5's kind of language model. */
function configOf(shape: ModelShape, { ids, vocabularySize }: WrittenTokenizer): CheckpointConfig {
  return {
    layout: 'hf',
    model: {
      vision: {
        hiddenSize: shape.visionWidth,
        intermediateSize: shape.visionIntermediate,
        numHiddenLayers: shape.visionLayers,
        numAttentionHeads: shape.visionHeads,
        imageSize: shape.imageSize,
        patchSize: shape.patchSize,
        hasQkvBias: true,
        hasQkNorm: false,
        isRmsNorm: false,
        normEps: 1e-6,
        hasFinalNorm: false,
      },
      text: {
        hiddenSize: shape.textWidth,
        intermediateSize: shape.textIntermediate,
        numHiddenLayers: shape.textLayers,
        numAttentionHeads: shape.textHeads,
        numKeyValueHeads: shape.textKeyValueHeads,
        headDim: shape.textWidth / shape.textHeads,
        vocabSize: vocabularySize,
        maxPositionEmbeddings: shape.maxPositions,
        rmsNormEps: 1e-6,
        ropeTheta: shape.ropeTheta,
        ropeDynamicFactor: 2,
      },
      downsampleRatio: 0.5,
      imageSeqLength: tokensOfTile(shape),
      imageTokenId: ids['<IMG_CONTEXT>'],
      visionFeatureLayer: -1,
      keepsClsToken: false,
      tiesEmbeddings: shape.tiesEmbeddings,
    },
    preprocessing: IMAGENET_PREPROCESSING,
    dtype: 'fp32',
    tileSize: shape.imageSize,
    minTiles: 1,
    maxTiles: 12,
    useThumbnail: true,
    generation: {
      eosTokenIds: [ids['<|im_end|>']],
      bosTokenId: ids['<|endoftext|>'],
      options: {},
      notFollowed: [],
    },
  };
}

/** What transformers' Qwen2Config reads and {@link CheckpointConfig} does not hold, and the sizes. */
function textKeys({ model, generation }: CheckpointConfig): JsonObject {
  const { text } = model;
  return {
    attention_dropout: 0,
    bos_token_id: generation.bosTokenId,
    hidden_act: 'silu',
    hidden_size: text.hiddenSize,
    initializer_range: 0.02,
    intermediate_size: text.intermediateSize,
    max_position_embeddings: text.maxPositionEmbeddings,
    num_attention_heads: text.numAttentionHeads,
    num_hidden_layers: text.numHiddenLayers,
    num_key_value_heads: text.numKeyValueHeads,
    rms_norm_eps: text.rmsNormEps,
    sliding_window: null,
    use_cache: true,
    use_sliding_window: false,
    vocab_size: text.vocabSize,
  };
}

/** Configuration files by name; the tokenizer's are not among them. */
export function makeConfigFiles(
  shape: ModelShape,
  tokenizer: WrittenTokenizer,
): Readonly<Record<string, JsonObject>> {
  const config = configOf(shape, tokenizer);
  const files = hfCompanions(config, { tokenizerConfig: {}, generationConfig: {} });
  const companions = Object.entries(files).filter(([name]) => name !== 'tokenizer_config.json');
  return {
    ...Object.fromEntries(companions),
    'config.json': hfConfigJson(config, textKeys(config), shape.tiesEmbeddings),
  };
}
