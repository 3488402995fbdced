/** From a conversation with pictures to what the engine takes: decoded, planned, rendered, encoded. */
import type { NativeAddon } from '../binding/native.js';
import { type ChatMessage, type ChatTemplate, encodeChat, imagesOf } from '../chat/index.js';
import type { CheckpointConfig } from '../checkpoint/index.js';
import { InvalidArgumentError } from '../errors.js';
import type { PicturedPrompt, PromptPicture } from '../generation/index.js';
import {
  checkTiling,
  type ImageSource,
  type KnownImages,
  type OpenedImages,
  planTiles,
} from '../image/index.js';
import type { TextCoder } from '../tokenizer/index.js';
import type { ResolvedPromptOptions } from './prompt-options.js';

export interface PromptParts {
  readonly addon: Pick<NativeAddon, 'chooseTileGrid'>;
  readonly images: KnownImages;
  readonly config: CheckpointConfig;
  readonly tokenizer: TextCoder;
  readonly template: ChatTemplate;
  /** Tokens of prompt and answer together. */
  readonly maxContext: number;
}

/** Reads a picture, decodes it if it is not known, and fixes how it is cut. */
export async function prepareImage(
  parts: Pick<PromptParts, 'addon' | 'config' | 'images'>,
  source: ImageSource,
  options: ResolvedPromptOptions,
  read?: OpenedImages,
): Promise<PromptPicture & { readonly tiles: number }> {
  checkTiling(options.tiling, parts.config);
  const image = await parts.images.get(source, options, read);
  const { width, height } = image;
  const plan = planTiles(parts.addon, width, height, parts.config, options.tiling);
  return { ...image, ...plan };
}

/**
 * @param read pictures of the call, where it has several prompts
 * @throws InvalidArgumentError FACELLM_PROMPT_TOO_LONG before the engine is asked
 */
export async function preparePrompt(
  parts: PromptParts,
  messages: readonly ChatMessage[],
  options: ResolvedPromptOptions,
  read?: OpenedImages,
): Promise<PicturedPrompt> {
  const rendered = parts.template.render(messages, { system: options.system });
  const images = await Promise.all(
    imagesOf(messages).map((source) => prepareImage(parts, source, options, read)),
  );
  const perTile = parts.config.model.imageSeqLength;
  const { ids } = await encodeChat(
    rendered,
    parts.tokenizer,
    images.map(({ tiles }) => tiles * perTile),
  );
  const limit = parts.maxContext;
  if (ids.length >= limit) {
    const ofImages = images.reduce((sum, { tiles }) => sum + tiles * perTile, 0);
    throw new InvalidArgumentError(
      'FACELLM_PROMPT_TOO_LONG',
      `the prompt has ${ids.length} tokens (${ofImages} of them for images), the model's limit is ` +
        `${limit} for prompt and answer together; use fewer tiles, images or words`,
    );
  }
  return { ids, images };
}
