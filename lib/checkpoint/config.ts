/**
 * Reads everything that a checkpoint folder says about its model besides the weights, in either
 * layout, into the shapes that the engine takes (docs/internvl3.md, section 2). Unknown keys are
 * ignored; whatever is wrong in any of the files is listed in one error.
 */
import { join } from 'node:path';

import type {
  NativeModelConfig,
  NativePreprocessing,
  NativeQuantisation,
} from '../binding/native.js';
import { createError } from '../errors.js';
import { type GenerationDefaults, readGenerationConfig } from './generation-config.js';
import { parseHfConfig } from './hf-config.js';
import { type JsonObject } from '../files/index.js';
import { readRequiredJson } from './json-file.js';
import { parseOriginalConfig } from './original-config.js';
import type { ParsedConfig } from './parsed-config.js';
import { IMAGENET_PREPROCESSING, readPreprocessorConfig } from './preprocessor-config.js';
import type { PreprocessorConfig } from './preprocessor-config.js';
import { readQuantisation } from './quantisation-config.js';
import { expected, type Problems } from './schema.js';
import { findTokenId } from './special-tokens.js';
import type { StoredQuantisation } from './stored-quantisation.js';

export type CheckpointLayout = 'hf' | 'original';

export interface CheckpointConfig {
  readonly layout: CheckpointLayout;
  readonly model: NativeModelConfig;
  readonly preprocessing: NativePreprocessing;
  /** As stored, by config.json. */
  readonly dtype: 'fp32' | 'bf16' | 'fp16';
  /** Side of a tile in pixels. */
  readonly tileSize: number;
  readonly minTiles: number;
  /** Without the thumbnail. */
  readonly maxTiles: number;
  readonly useThumbnail: boolean;
  readonly generation: GenerationDefaults;
  /** Of a checkpoint whose linear layers are stored quantised; `model.quantisation` is the same for the engine. */
  readonly quantisation?: StoredQuantisation;
}

const layouts: Readonly<Record<string, CheckpointLayout>> = {
  internvl: 'hf',
  internvl_chat: 'original',
};

/** config.json and the layout that its `model_type` stands for. */
export async function readLayout(
  directory: string,
): Promise<{ readonly layout: CheckpointLayout; readonly raw: JsonObject }> {
  const raw = await readRequiredJson(
    join(directory, 'config.json'),
    'so the folder is no checkpoint; name the folder that holds config.json',
  );
  const type = raw['model_type'];
  const layout =
    typeof type === 'string' && Object.hasOwn(layouts, type) ? layouts[type] : undefined;
  if (layout !== undefined) return { layout, raw };
  const text = expected('"internvl" (HF layout) or "internvl_chat" (original layout)', type);
  throw createError(
    'FACELLM_CONFIG_INVALID',
    `${join(directory, 'config.json')} is not that of an InternVL3 model: model_type: ${text}`,
    { details: [`config.json: model_type: ${text}`] },
  );
}

async function findRequiredToken(
  directory: string,
  token: string,
  problems: Problems,
): Promise<number | undefined> {
  const id = await findTokenId(directory, token, problems);
  if (id === undefined) {
    problems.push(
      `tokenizer: ${token} is in none of added_tokens.json, tokenizer_config.json, ` +
        'tokenizer.json and vocab.json',
    );
  }
  return id;
}

/** HF states the id, the original leaves it to the tokenizer; where both speak they must agree. */
async function imageTokenIdOf(
  directory: string,
  layout: CheckpointLayout,
  config: ParsedConfig | undefined,
  problems: Problems,
): Promise<number | undefined> {
  const token = '<IMG_CONTEXT>';
  if (layout === 'hf') {
    const inTokenizer = await findTokenId(directory, token, problems);
    const stated = config?.imageTokenId;
    if (stated !== undefined && inTokenizer !== undefined && stated !== inTokenizer) {
      const text = expected(`${inTokenizer}, the tokenizer's ${token}`, stated);
      problems.push(`config.json: image_token_id: ${text}`);
    }
    return stated;
  }
  const id = await findRequiredToken(directory, token, problems);
  const rows = config?.text.vocabSize;
  if (id !== undefined && rows !== undefined && id >= rows) {
    problems.push(`tokenizer: ${token} has id ${id}, not below llm_config.vocab_size ${rows}`);
  }
  return id;
}

function forEngine({ format, bits, group, isSymmetric }: StoredQuantisation): NativeQuantisation {
  return { format, bits, group, isSymmetric };
}

function originalPreprocessor(config: ParsedConfig | undefined): PreprocessorConfig {
  const { min = 1, max = 1 } = config?.tiling ?? {};
  return { preprocessing: IMAGENET_PREPROCESSING, minTiles: min, maxTiles: max };
}

function throwProblems(directory: string, found: Problems): never {
  const problems = [...new Set(found)];
  throw createError(
    'FACELLM_CONFIG_INVALID',
    `the configuration in ${directory} has ${problems.length} problem(s), first: ${problems[0]}; ` +
      'correct the files or fetch the checkpoint again',
    { details: problems },
  );
}

/**
 * Reads config.json and the small files beside it. Throws FACELLM_CHECKPOINT_NOT_FOUND without
 * config.json, FACELLM_CONFIG_INVALID with every problem as "file: key.path: message" in `details`.
 */
export async function readCheckpointConfig(directory: string): Promise<CheckpointConfig> {
  const { layout, raw } = await readLayout(directory);
  const problems: Problems = [];
  const isHf = layout === 'hf';
  const config = isHf ? parseHfConfig(raw, problems) : parseOriginalConfig(raw, problems);

  const imageTokenId = await imageTokenIdOf(directory, layout, config, problems);
  const chatEosId = isHf ? undefined : await findRequiredToken(directory, '<|im_end|>', problems);
  const generation = await readGenerationConfig(directory, config, chatEosId, problems);
  const quantisation = await readQuantisation(directory, raw, problems);
  const geometry = config && {
    imageSize: config.vision.imageSize,
    imageSeqLength: config.imageSeqLength,
  };
  const preprocessor = isHf
    ? await readPreprocessorConfig(directory, geometry, problems)
    : originalPreprocessor(config);

  const isComplete = config && generation && preprocessor && imageTokenId !== undefined;
  if (problems.length > 0 || !isComplete) throwProblems(directory, problems);
  return {
    layout,
    model: {
      vision: config.vision,
      text: config.text,
      downsampleRatio: config.downsampleRatio,
      imageSeqLength: config.imageSeqLength,
      imageTokenId,
      visionFeatureLayer: config.visionFeatureLayer,
      keepsClsToken: false,
      tiesEmbeddings: config.tiesEmbeddings,
      ...(quantisation !== undefined && { quantisation: forEngine(quantisation) }),
    },
    ...(quantisation !== undefined && { quantisation }),
    preprocessing: preprocessor.preprocessing,
    dtype: config.dtype,
    tileSize: config.vision.imageSize,
    minTiles: preprocessor.minTiles,
    maxTiles: preprocessor.maxTiles,
    // HF's processor always adds the thumbnail when it tiles.
    useThumbnail: config.tiling?.useThumbnail ?? true,
    generation,
  };
}
