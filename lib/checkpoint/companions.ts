/**
 * The small files beside a checkpoint's weights. Within a layout they are copied; from the original layout to the
 * HF one those that transformers needs are made, with the values of the released files.
 */
import type { CheckpointConfig, CheckpointLayout } from './config.js';
import { tokenIdsOnly } from './generation-options.js';
import { isJsonObject, type JsonObject } from '../files/index.js';
import { omit } from './json-file.js';

const SHARED = [
  'generation_config.json',
  'chat_template.jinja',
  'chat_template.json',
  'additional_chat_templates', // a folder
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
];
const HF_ONLY = [
  'preprocessor_config.json',
  'processor_config.json',
  'video_preprocessor_config.json',
];

/** Whether an entry of a checkpoint folder goes along, byte for byte. */
export function isCompanion(name: string, from: CheckpointLayout, to: CheckpointLayout): boolean {
  if (SHARED.includes(name) || /^(LICENSE|NOTICE)(\.\w+)?$/i.test(name)) return true;
  if (from !== to) return false;
  // The original layout brings its own model code and an image processor's file that nobody reads.
  return HF_ONLY.includes(name) || (from === 'original' && name.endsWith('.py'));
}

/** Control tokens that transformers' processor asks its tokenizer for. */
export const PROCESSOR_TOKENS = {
  context_image_token: '<IMG_CONTEXT>',
  end_image_token: '</img>',
  start_image_token: '<img>',
  video_token: '<video>',
};

function imageSettings(config: CheckpointConfig): JsonObject {
  const { mean, std, rescaleFactor } = config.preprocessing;
  return {
    data_format: 'channels_first',
    default_to_square: true,
    do_convert_rgb: true,
    do_normalize: true,
    do_rescale: true,
    do_resize: true,
    image_mean: mean,
    image_std: std,
    processor_class: 'InternVLProcessor',
    resample: 3,
    rescale_factor: rescaleFactor,
    size: { height: config.tileSize, width: config.tileSize },
  };
}

/** The original folder's own files as far as they exist. */
export interface OriginalFiles {
  readonly tokenizerConfig: JsonObject;
  readonly generationConfig: JsonObject;
}

/** Files of the HF layout, by name, for a checkpoint that comes from the original one. */
export function hfCompanions(
  config: CheckpointConfig,
  { tokenizerConfig, generationConfig }: OriginalFiles,
): Readonly<Record<string, JsonObject>> {
  const { eosTokenIds, bosTokenId } = config.generation;
  const extra = tokenizerConfig['extra_special_tokens'];
  return {
    'preprocessor_config.json': {
      ...imageSettings(config),
      crop_to_patches: false,
      image_processor_type: 'GotOcr2ImageProcessorFast',
      max_patches: config.maxTiles,
      min_patches: config.minTiles,
    },
    'video_preprocessor_config.json': {
      ...imageSettings(config),
      video_processor_type: 'InternVLVideoProcessor',
    },
    'processor_config.json': {
      image_seq_length: config.model.imageSeqLength,
      processor_class: 'InternVLProcessor',
    },
    'tokenizer_config.json': {
      ...omit(tokenizerConfig, ['auto_map']), // remote code stays behind
      ...PROCESSOR_TOKENS,
      extra_special_tokens: { ...(isJsonObject(extra) ? extra : {}), ...PROCESSOR_TOKENS },
      processor_class: 'InternVLProcessor',
      tokenizer_class: 'Qwen2Tokenizer',
    },
    'generation_config.json': {
      // Nothing of the rest counted in the original layout; in this one it would.
      ...tokenIdsOnly(generationConfig),
      ...(bosTokenId === undefined ? {} : { bos_token_id: bosTokenId }),
      eos_token_id: eosTokenIds.length === 1 ? eosTokenIds[0] : eosTokenIds,
    },
  };
}
