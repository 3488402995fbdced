/** How a caller wants pictures read and a prompt written, and the same with every default in place. */
import { TEMPLATE_NAMES, type TemplateName } from '../chat/index.js';
import { type PictureFaces, pictureFaces, type ResolvedAskedFaces } from '../faces/index.js';
import {
  type DecodeOptions,
  decodeShape,
  type TilingOptions,
  tilingOptions,
} from '../image/index.js';
import { flag, type Shape, text, word } from '../options/index.js';

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
  /**
   * Faces are found in pictures, turned upright and cut out, and the model sees these chips: docs/faces.md. Pictures are
   * upright by EXIF then, whatever `applyExif` says. What is left open is as recorded of a training on chips.
   * @default as recorded; else `off`
   */
  readonly faces?: PictureFaces | undefined;
}

/** Prompt options with every default in place. */
export interface ResolvedPromptOptions extends PromptOptions {
  readonly template: TemplateName;
  readonly limitsImageArea: boolean;
  readonly applyExif: boolean;
  readonly faces: ResolvedAskedFaces | 'off' | 'cropped';
}

export const promptShape: Shape<PromptOptions> = {
  ...decodeShape,
  template: word(...TEMPLATE_NAMES).optional(),
  system: text('a text').optional(),
  tiling: tilingOptions.optional(),
  limitsImageArea: flag.optional(),
  faces: pictureFaces.optional(),
};
