/** The pictures of a request as the model sees them: chips of their faces where the request asks for them. */
import {
  type ChatContent,
  type ChatMessage,
  checkMessages,
  hasTags,
  IMAGE_TAG,
} from '../chat/index.js';
import type { FacesRecord, KnownFaces, TakenFaces } from '../faces/index.js';
import type { ImageSource, OpenedImages } from '../image/index.js';
import type { ResolvedPromptOptions } from './prompt-options.js';

interface CroppedMessages {
  readonly messages: readonly ChatMessage[];
  /** Of each picture in their order; undefined where faces are not looked for. */
  readonly faces: readonly FacesRecord[] | undefined;
}

/** @throws ImageError FACELLM_NO_FACE, and what detectFaces throws */
export async function cropPictures(
  known: KnownFaces,
  pictures: readonly ImageSource[],
  options: ResolvedPromptOptions,
  read?: OpenedImages,
): Promise<readonly TakenFaces[] | undefined> {
  const { faces } = options;
  if (typeof faces === 'string') return undefined;
  return Promise.all(pictures.map((picture) => known.take(picture, faces, options, read)));
}

/** A picture that becomes several stands for all of them, where the text has a place for it too. */
function cropTurn(message: ChatMessage, taken: readonly TakenFaces[]): ChatMessage {
  const { role, content } = message;
  if (typeof content === 'string') return message;
  const isTagged = hasTags(message);
  let image = 0;
  let tag = 0;
  return {
    role,
    content: content.flatMap((part): readonly ChatContent[] => {
      if (part.type === 'image') {
        const { pictures = [] } = taken[image++] ?? {};
        return pictures.map((one) => ({ type: 'image', image: one }));
      }
      if (!isTagged) return [part];
      const [first = '', ...others] = part.text.split(IMAGE_TAG);
      const tagged = others.map((text) => {
        const { pictures = [] } = taken[tag++] ?? {};
        return pictures.map(() => IMAGE_TAG).join('\n') + text;
      });
      return [{ type: 'text', text: [first, ...tagged].join('') }];
    }),
  };
}

/** @throws InvalidArgumentError for a conversation that is none, ImageError as {@link cropPictures} */
export async function cropMessages(
  known: KnownFaces,
  messages: readonly ChatMessage[],
  options: ResolvedPromptOptions,
  read?: OpenedImages,
): Promise<CroppedMessages> {
  if (typeof options.faces === 'string') return { messages, faces: undefined };
  // Places and pictures are counted before there are others.
  checkMessages(messages, undefined);
  const turns = await Promise.all(
    messages.map(async (message) => {
      const { content } = message;
      const parts = typeof content === 'string' ? [] : content;
      const own = parts.flatMap((part) => (part.type === 'image' ? [part.image] : []));
      const taken = (await cropPictures(known, own, options, read)) ?? [];
      return { message: cropTurn(message, taken), records: taken.map(({ record }) => record) };
    }),
  );
  return {
    messages: turns.map(({ message }) => message),
    faces: turns.flatMap(({ records }) => records),
  };
}
