/** A model from nothing: InternVL3's architecture at any size, a vocabulary learnt from texts, random weights. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { loadAddon } from '../binding/load.js';
import { HUB_TEMPLATE } from '../chat/index.js';
import { PROCESSOR_TOKENS, readCheckpointConfig } from '../checkpoint/index.js';
import { abortSignal, checkFields, field, fields, name, whole } from '../options/index.js';
import {
  ADDED_TOKEN_COUNT,
  makeTokenizerFiles,
  trainBpe,
  type WrittenTokenizer,
} from '../tokenizer/index.js';
import { writeRandomWeights } from './random-weights.js';
import { writeJson } from './export-companions.js';
import { type ModelShape, modelShape, nanoShape } from './model-shape.js';
import { newFolder } from './new-folder.js';
import { makeConfigFiles } from './shape-config.js';

export interface CreateModelOptions {
  /** New folder; if it exists, it must be empty. */
  readonly output: string;
  /** What the model will read and write, for its vocabulary; without control tokens such as `<image>`. */
  readonly texts: readonly string[];
  /** @default nanoShape() */
  readonly shape?: ModelShape | undefined;
  /**
   * Entries at most: 256 bytes, 31 control tokens, and what is learnt. Fewer where the texts hold no more pairs that
   * occur twice.
   * @default 2048
   */
  readonly vocabularySize?: number | undefined;
  /** Of the weights. @default 42 */
  readonly seed?: number | undefined;
  /** Looked at between steps; nothing is left behind. */
  readonly signal?: AbortSignal | undefined;
}

export interface CreatedModel {
  /** Absolute. */
  readonly directory: string;
  readonly parameters: number;
  /** Entries, control tokens among them: rows of the embedding. */
  readonly vocabularySize: number;
}

const DEFAULT_VOCABULARY = 2048;
const DEFAULT_SEED = 42;
/** Bytes and control tokens: what no vocabulary can be without. */
const LEAST_VOCABULARY = 256 + ADDED_TOKEN_COUNT;

const createOptions = fields<CreateModelOptions>({
  output: name('a path'),
  texts: field<readonly string[]>(
    'a list of texts, at least one of them not blank',
    (texts) =>
      Array.isArray(texts) &&
      texts.every((text) => typeof text === 'string') &&
      texts.some((text) => text.trim() !== ''),
  ),
  shape: modelShape.optional(),
  vocabularySize: field<number>(
    `a whole number from ${LEAST_VOCABULARY} (256 bytes and ${ADDED_TOKEN_COUNT} control tokens) and below 2^24`,
    (size) =>
      Number.isSafeInteger(size) && Number(size) >= LEAST_VOCABULARY && Number(size) < 2 ** 24,
  ).optional(),
  seed: whole(0).optional(),
  signal: abortSignal.optional(),
});

/**
 * Writes a complete checkpoint folder in the HF layout, as one of the hub lies: configuration, tokenizer, chat template
 * and fp32 weights by the engine's own initialisation. Learning the vocabulary blocks the event loop, about a second for 100,000 short texts; the weights
 * block the engine thread.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT: options, shape, an output that is not empty
 * @throws NativeLoadError, DeviceError FACELLM_OUT_OF_MEMORY, TrainingError FACELLM_RUN_WRITE
 */
export async function createModel(options: CreateModelOptions): Promise<CreatedModel> {
  const checked = checkFields(createOptions, options, 'no model can be made so');
  const { output, texts, signal } = checked;
  const { shape = nanoShape(), vocabularySize = DEFAULT_VOCABULARY, seed = DEFAULT_SEED } = checked;
  signal?.throwIfAborted();
  loadAddon(); // fails before any work if it is not there
  const folder = await newFolder(output, signal);
  const bpe = trainBpe({ texts, vocabularySize: vocabularySize - ADDED_TOKEN_COUNT });
  const tokenizer = makeTokenizerFiles(bpe, {
    maxLength: shape.maxPositions,
    chatTemplate: HUB_TEMPLATE,
    processorTokens: PROCESSOR_TOKENS,
  });
  return folder.write(async (partial) => {
    await writeSmallFiles(partial, shape, tokenizer);
    signal?.throwIfAborted();
    const parameters = await writeRandomWeights({
      // Read back: the weights fit what loading will find.
      config: await readCheckpointConfig(partial),
      seed,
      tiesEmbeddings: shape.tiesEmbeddings,
      directory: partial,
      signal,
    });
    return { directory: folder.output, parameters, vocabularySize: tokenizer.vocabularySize };
  });
}

async function writeSmallFiles(
  folder: string,
  shape: ModelShape,
  tokenizer: WrittenTokenizer,
): Promise<void> {
  for (const [name, text] of Object.entries(tokenizer.files)) {
    await writeFile(join(folder, name), text);
  }
  for (const [name, json] of Object.entries(makeConfigFiles(shape, tokenizer))) {
    await writeJson(join(folder, name), json);
  }
  await writeFile(join(folder, 'chat_template.jinja'), HUB_TEMPLATE);
}
