/**
 * A rendered prompt as stretches of text and places of pictures. Text that came from outside keeps
 * that mark through a template's rendering: every literal in it that would read as a control token or
 * a placeholder is exchanged for a marker that nobody can guess, and put back afterwards as plain text.
 */
import { randomBytes } from 'node:crypto';

import { createError } from '../errors.js';
import type { TextCoder, TextSegment } from '../tokenizer/index.js';

export interface ImageSegment {
  /** Which picture, in conversation order. */
  readonly image: number;
}

export type PromptSegment = TextSegment | ImageSegment;

export interface RenderedChat {
  readonly segments: readonly PromptSegment[];
  readonly imageCount: number;
}

/** Where templates put a picture: the HF form, and the one of older conversions. */
const PLACEHOLDER = /<IMG_CONTEXT>|<image>/;

export class Shield {
  readonly #nonce = randomBytes(12).toString('hex');
  readonly #literals: string[] = [];
  readonly #dangerous: RegExp;

  constructor(controlTokens: Iterable<string>) {
    const literals = [...controlTokens, '<image>']
      .sort((a, b) => b.length - a.length)
      .map((literal) => literal.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
    this.#dangerous = new RegExp(literals.join('|'), 'g');
  }

  /** Text from outside, safe to hand to a template. */
  cover(text: string): string {
    return text.replace(this.#dangerous, (literal) => {
      this.#literals.push(literal);
      return `${this.#nonce}_${this.#literals.length - 1};`;
    });
  }

  /** A template's output cut at markers (back to plain text) and at placeholders (pictures). */
  uncover(rendered: string): PromptSegment[] {
    const segments: PromptSegment[] = [];
    let image = 0;
    const marker = new RegExp(`${this.#nonce}_(\\d+);`);
    rendered.split(marker).forEach((part, i) => {
      if (i % 2 === 1) {
        segments.push({ text: this.#literals[Number(part)] ?? '', trusted: false });
        return;
      }
      part.split(PLACEHOLDER).forEach((text, k) => {
        if (k > 0) segments.push({ image: image++ });
        if (text !== '') segments.push({ text, trusted: true });
      });
    });
    return segments;
  }
}

export interface EncodedChat {
  readonly ids: Int32Array;
  /** The prompt with one `<image>` for each picture, as the reference writes it. */
  readonly text: string;
}

/**
 * Token ids of a rendered prompt. Picture k becomes `<img>`, `tokensPerImage[k]` times
 * `<IMG_CONTEXT>`, `</img>` (docs/internvl3.md, section 7.2).
 *
 * @throws CheckpointError FACELLM_TOKENIZER_INVALID if the tokenizer lacks these tokens
 */
export async function encodeChat(
  rendered: RenderedChat,
  tokenizer: TextCoder,
  tokensPerImage: readonly number[],
): Promise<EncodedChat> {
  if (tokensPerImage.length !== rendered.imageCount) {
    throw createError(
      'FACELLM_IMAGE_TOKEN_MISMATCH',
      `the prompt has ${rendered.imageCount} place(s) for images, ${tokensPerImage.length} came`,
    );
  }
  const ids: number[] = [];
  let run: TextSegment[] = [];
  let text = '';
  const flush = async (): Promise<void> => {
    for (const id of await tokenizer.encodeSegments(run)) ids.push(id);
    run = [];
  };
  for (const segment of rendered.segments) {
    if ('image' in segment) {
      await flush();
      ids.push(controlId(tokenizer, '<img>'));
      const context = controlId(tokenizer, '<IMG_CONTEXT>');
      for (let i = 0; i < (tokensPerImage[segment.image] ?? 0); i++) ids.push(context);
      ids.push(controlId(tokenizer, '</img>'));
      text += '<image>';
    } else {
      run.push(segment);
      text += segment.text;
    }
  }
  await flush();
  return { ids: Int32Array.from(ids), text };
}

function controlId(tokenizer: TextCoder, token: string): number {
  const id = tokenizer.controlTokens.get(token);
  if (id !== undefined) return id;
  throw createError(
    'FACELLM_TOKENIZER_INVALID',
    `the tokenizer has no ${token}; this is not an InternVL3 checkpoint's tokenizer`,
  );
}
