/**
 * What both layouts of config.json say once read, and the checks on it that do not depend on the
 * layout: the vision tower's geometry and how many tokens a tile becomes (docs/internvl3.md,
 * sections 2 and 6).
 */
import type { z } from 'zod';

import type { NativeTextConfig, NativeVisionConfig } from '../binding/native.js';
import { checked, whenValid } from './schema.js';
import type { TextConfig } from './text-config.js';

export interface ParsedConfig {
  readonly vision: NativeVisionConfig;
  readonly text: NativeTextConfig;
  readonly downsampleRatio: number;
  readonly imageSeqLength: number;
  readonly visionFeatureLayer: number;
  readonly dtype: 'fp32' | 'bf16' | 'fp16';
  /** Only where the file says so: what it leaves out is no reason to make up a head. */
  readonly tiesEmbeddings: boolean;
  /** Absent in the original layout: the tokenizer tells. */
  readonly imageTokenId?: number;
  readonly eosTokenIds?: readonly number[];
  readonly bosTokenId?: number;
  readonly padTokenId?: number;
  /** Only in the original layout; else in the image processor's file. */
  readonly tiling?: { readonly min: number; readonly max: number; readonly useThumbnail: boolean };
}

/** 1/ratio patches are joined along each side: a whole number. */
export const downsampleRatio: z.ZodType<number> = checked(
  '1 divided by a whole number, such as 0.5',
  (ratio) => {
    if (typeof ratio !== 'number') return false;
    const joined = Math.round(1 / ratio);
    return joined >= 1 && joined <= 1024 && Math.abs(joined * ratio - 1) < 1e-9;
  },
);

interface VisionGeometry {
  readonly hidden_size: number;
  readonly num_attention_heads: number;
  readonly image_size: number;
  readonly patch_size: number;
}

/** Adds the checks that hold for the vision part of both layouts. */
export function checkVision<T extends VisionGeometry>(schema: z.ZodType<T>): z.ZodType<T> {
  return schema
    .refine((c) => c.hidden_size % c.num_attention_heads === 0, {
      path: ['num_attention_heads'],
      error: 'must divide hidden_size',
      when: whenValid('hidden_size', 'num_attention_heads'),
    })
    .refine((c) => c.image_size % c.patch_size === 0, {
      path: ['patch_size'],
      error: 'must divide image_size',
      when: whenValid('image_size', 'patch_size'),
    });
}

/** Tokens that one tile becomes; undefined if the patches cannot be joined evenly. */
export function tokensPerTile(
  imageSize: number,
  patchSize: number,
  ratio: number,
): number | undefined {
  const patches = imageSize / patchSize;
  const side = patches / Math.round(1 / ratio);
  return Number.isInteger(patches) && Number.isInteger(side) ? side * side : undefined;
}

/** Indices of hidden states that exist: [embeddings, layer 0, ...], negative ones from the end. */
export function isFeatureLayer(index: number, numHiddenLayers: number): boolean {
  return index >= -(numHiddenLayers + 1) && index <= numHiddenLayers;
}

/** The token ids that a text config states, without keys for those it does not. */
export function tokenIdsOf(
  text: TextConfig,
): Pick<ParsedConfig, 'eosTokenIds' | 'bosTokenId' | 'padTokenId'> {
  return {
    ...(text.eos_token_id === undefined ? {} : { eosTokenIds: text.eos_token_id }),
    ...(text.bos_token_id === undefined ? {} : { bosTokenId: text.bos_token_id }),
    ...(text.pad_token_id === undefined || text.pad_token_id < 0
      ? {}
      : { padTokenId: text.pad_token_id }),
  };
}
