/** From a conversation with pictures to what the engine takes: decoded, planned, rendered, encoded. */
import type { NativeAddon, NativeImageInput, NativePrompt } from '../binding/native.js';
import {
  type ChatMessage,
  type ChatTemplate,
  encodeChat,
  imagesOf,
  type TemplateName,
} from '../chat/index.js';
import type { CheckpointConfig } from '../checkpoint/index.js';
import { InvalidArgumentError } from '../errors.js';
import {
  checkTiling,
  decodeImage,
  type DecodeOptions,
  type ImageSource,
  limitArea,
  planTiles,
  type TilingOptions,
} from '../image/index.js';
import type { TextCoder } from '../tokenizer/index.js';
import type { ResolvedPromptOptions } from './serving-settings.js';

/** How pictures are read and a prompt is written. */
export interface PromptOptions extends DecodeOptions {
  /**
   * Form of the prompt. @default what an active adapter (or the checkpoint) was trained with where that is
   * recorded beside it; else 'hub', the checkpoint's own template, or, in the original layout, 'original',
   * what its code writes. The other options default to the record as well, unless another form is asked for.
   */
  readonly template?: TemplateName | undefined;
  /** Text of the system turn. Absent: as recorded, else the form's default; '': none. */
  readonly system?: string | undefined;
  /**
   * How pictures are cut. @default as recorded; else by the checkpoint (1..12 tiles and a thumbnail), as the
   * reference does at inference; `off` for the `training` form, as FaceLLM was trained
   */
  readonly tiling?: TilingOptions | undefined;
  /**
   * Shrinks pictures above 768 x 768 pixels (and enlarges tiny ones) before they are cut, as
   * LLaMA-Factory does. @default as recorded; else true for the `training` form only
   */
  readonly limitsImageArea?: boolean | undefined;
}

export interface PromptParts {
  readonly addon: Pick<NativeAddon, 'chooseTileGrid' | 'resizePillow'>;
  readonly config: CheckpointConfig;
  readonly tokenizer: TextCoder;
  readonly template: ChatTemplate;
}

/** Decodes a picture and fixes how it is cut. */
export async function prepareImage(
  parts: Pick<PromptParts, 'addon' | 'config'>,
  source: ImageSource,
  options: ResolvedPromptOptions,
): Promise<NativeImageInput & { readonly tiles: number }> {
  checkTiling(options.tiling, parts.config);
  let image = await decodeImage(source, options);
  if (options.limitsImageArea) image = await limitArea(parts.addon, image);
  const { width, height } = image;
  const plan = planTiles(parts.addon, width, height, parts.config, options.tiling);
  return { ...image, ...plan };
}

/**
 * @throws InvalidArgumentError FACELLM_PROMPT_TOO_LONG before the engine is asked
 */
export async function preparePrompt(
  parts: PromptParts,
  messages: readonly ChatMessage[],
  options: ResolvedPromptOptions,
): Promise<NativePrompt> {
  const rendered = parts.template.render(messages, { system: options.system });
  const images = await Promise.all(
    imagesOf(messages).map((source) => prepareImage(parts, source, options)),
  );
  const perTile = parts.config.model.imageSeqLength;
  const { ids } = await encodeChat(
    rendered,
    parts.tokenizer,
    images.map(({ tiles }) => tiles * perTile),
  );
  const limit = parts.config.model.text.maxPositionEmbeddings;
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
