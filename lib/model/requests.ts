/** What can be asked of a model: the options of each call, checked all at once and copied as they are then. */
import type { z } from 'zod';

import type { ChatContent, ChatMessage } from '../chat/index.js';
import { InvalidArgumentError } from '../errors.js';
import { type GenerationOptions, generationShape } from '../generation/index.js';
import { imageSource, type ImageSource } from '../image/index.js';
import {
  abortSignal,
  field,
  fields,
  flag,
  kindOf,
  list,
  name,
  type Shape,
} from '../options/index.js';
import type { AdapterSelection } from './adapter.js';
import { type CalibrationChoice, calibrationShape } from './calibrated.js';
import { type Preparation, preparationShape } from './prepared.js';
import { type PromptOptions, promptShape } from './prompt-options.js';

/** What works beside the base model in one request. */
export interface AdapterChoice {
  /** One, several or none (`null`). @default what `setAdapter` chose. A batch shares it. */
  readonly adapters?: AdapterSelection | undefined;
}

export interface ChatOptions extends PromptOptions, GenerationOptions, AdapterChoice, Preparation {
  readonly signal?: AbortSignal | undefined;
  /**
   * Takes over what an earlier question with the same beginning (system turn, pictures) computed.
   * @default true
   */
  readonly reusePrefix?: boolean | undefined;
}

export interface Question {
  /** A picture or several; none for a text-only question. */
  readonly image?: ImageSource | readonly ImageSource[] | undefined;
  readonly question: string;
}

export interface AskOptions extends ChatOptions, Question {}

/** An answer to be scored, with a label of the caller's. */
export type ChoiceText = string | { readonly text: string; readonly label?: string | undefined };

/** One of several questions about the same pictures. */
export interface ChooseItem {
  /** Names its result; unlike the others'. @default its place, "0", "1", ... */
  readonly id?: string | undefined;
  readonly question: string;
  /** 2 to 256 different texts. */
  readonly choices: readonly ChoiceText[];
}

export interface ChooseItemsOptions extends Omit<ChooseOptions, 'question' | 'choices'> {
  /** 1 to 64 questions; what their prompts have in common is computed once. */
  readonly items: readonly ChooseItem[];
}

export interface ChooseOptions
  extends Question, PromptOptions, AdapterChoice, CalibrationChoice, Preparation {
  /** 2 to 256 different texts. */
  readonly choices: readonly ChoiceText[];
  /** Counts the end of the turn as part of each answer. @default true */
  readonly includeEnd?: boolean | undefined;
  readonly reusePrefix?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface AnswerLogitsOptions extends PromptOptions, AdapterChoice {
  readonly signal?: AbortSignal | undefined;
}

export interface EmbedOptions extends PromptOptions, AdapterChoice, Preparation {}

export const adapterShape: Shape<AdapterChoice> = {
  // What is no adapter, or another model's, is for the model to say.
  adapters: field<AdapterSelection>('adapters', () => true).optional(),
};
const chatShape: Shape<ChatOptions> = {
  ...promptShape,
  ...generationShape,
  ...adapterShape,
  ...preparationShape,
  signal: abortSignal.optional(),
  reusePrefix: flag.optional(),
};
export const pictures: z.ZodType<readonly ImageSource[]> = list(imageSource, 'a list of pictures');
export const pictureOrPictures: z.ZodType<ImageSource | readonly ImageSource[]> = kindOf<
  ImageSource | readonly ImageSource[]
>((value) => (Array.isArray(value) ? pictures : imageSource));
export const questionShape: Shape<Question> = {
  image: pictureOrPictures.optional(),
  question: name('a text of at least one character'),
};

export const chatOptions: z.ZodType<ChatOptions> = fields(chatShape);
export const askOptions: z.ZodType<AskOptions> = fields({ ...chatShape, ...questionShape });
const MOST_CHOICES = 256;
const MOST_ITEMS = 64;
const anyText = name('a text of at least one character');
const labelled = fields<Exclude<ChoiceText, string>>({
  text: anyText,
  label: name('a label of at least one character').optional(),
});
const choiceTexts = list<ChoiceText>(
  kindOf<ChoiceText>((value) => (typeof value === 'object' && value !== null ? labelled : anyText)),
  `a list of 2..${MOST_CHOICES} texts`,
  2,
  MOST_CHOICES,
);
const chooseShape = {
  ...promptShape,
  ...adapterShape,
  ...calibrationShape,
  ...preparationShape,
  image: questionShape.image,
  includeEnd: flag.optional(),
  reusePrefix: flag.optional(),
  signal: abortSignal.optional(),
};
export const chooseOptions: z.ZodType<ChooseOptions> = fields<ChooseOptions>({
  ...chooseShape,
  question: questionShape.question,
  choices: choiceTexts,
});
export const chooseItemsOptions: z.ZodType<ChooseItemsOptions> = fields<ChooseItemsOptions>({
  ...chooseShape,
  items: list(
    fields<ChooseItem>({
      id: name('an id of at least one character').optional(),
      question: questionShape.question,
      choices: choiceTexts,
    }),
    `a list of 1..${MOST_ITEMS} questions, each with its choices`,
    1,
    MOST_ITEMS,
  ),
});
export const answerLogitsOptions: z.ZodType<AnswerLogitsOptions> = fields<AnswerLogitsOptions>({
  ...promptShape,
  ...adapterShape,
  signal: abortSignal.optional(),
});
export const embedOptions: z.ZodType<EmbedOptions> = fields<EmbedOptions>({
  ...promptShape,
  ...adapterShape,
  ...preparationShape,
});
export function toList(images: ImageSource | readonly ImageSource[]): readonly ImageSource[] {
  return Array.isArray(images) ? (images as readonly ImageSource[]) : [images as ImageSource];
}

export function toMessage({ image, question }: Question): ChatMessage {
  const images = image === undefined ? [] : toList(image);
  const content: ChatContent[] = images.map((one) => ({ type: 'image', image: one }));
  return { role: 'user', content: [...content, { type: 'text', text: question }] };
}

/** Of each question. @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT for one that is given twice */
export function idsOf(items: readonly ChooseItem[]): readonly string[] {
  const ids = items.map(({ id }, i) => id ?? String(i));
  const details = ids.flatMap((id, i) =>
    ids.indexOf(id) === i
      ? []
      : [`items[${i}].id: ${JSON.stringify(id)} is that of items[${ids.indexOf(id)}]`],
  );
  if (details.length === 0) return ids;
  throw new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', 'the request is wrong', { details });
}
