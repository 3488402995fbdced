/** `messages` of a request: OpenAI's roles and parts to the library's turns, each picture still a place in the body. */
import type { ChatMessage, ChatRole } from '../chat/index.js';
import type { TilingOptions } from '../image/index.js';
import type { PictureField } from './picture-intake.js';
import type { Picture } from './data-url.js';
import type { Policy } from './options.js';
import type { PromptFields } from './prompt-fields.js';
import { type Body, isObject, isOff, type Problems } from './values.js';

export type Detail = 'low' | 'high' | 'auto';

export type TakenPart =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'image'; readonly picture: number };

export interface TakenTurn {
  readonly role: ChatRole;
  readonly content: string | readonly TakenPart[];
}

const MOST_MESSAGES = 256;
const MOST_PARTS = 64;
const DETAILS = ['low', 'high', 'auto'];
/** Of an answer that is sent back: what holds nothing is left out. */
const OFF_IN_MESSAGES = ['refusal', 'audio', 'function_call', 'tool_calls'];
const ROLES: Readonly<Record<string, ChatRole>> = {
  system: 'system',
  developer: 'system',
  user: 'user',
  assistant: 'assistant',
};

/** Collects pictures of a request's parts, in the order in which they come. */
export class PictureReader {
  readonly pictures: PictureField[] = [];
  readonly #details = new Set<Detail>();
  readonly #problems: Problems;
  readonly #parsed: readonly Picture[];

  constructor(parsed: readonly Picture[], problems: Problems) {
    this.#parsed = parsed;
    this.#problems = problems;
  }

  /** @param place that parse-body.ts put instead of the URL */
  take(place: unknown, param: string): number {
    const picture = this.#parsed[typeof place === 'number' ? place : -1];
    if (picture === undefined) this.#problems.wrong(param, 'a data: URL');
    else this.pictures.push({ picture, param });
    return this.pictures.length - 1;
  }

  /** A part `{type: 'image_url', image_url: {url, detail}}`. */
  takePart(part: Body, param: string): number {
    const { image_url: image } = part;
    if (!isObject(image)) return this.take(image, `${param}.image_url`);
    const { detail } = image;
    if (detail !== undefined && detail !== null && !DETAILS.includes(detail as string)) {
      this.#problems.wrong(`${param}.image_url.detail`, 'low, high or auto');
    } else this.#details.add((detail ?? 'auto') as Detail);
    return this.take(image['url'], `${param}.image_url.url`);
  }

  /** Pictures of a request are cut alike. */
  detail(): Detail | undefined {
    if (this.#details.size > 1) {
      this.#problems.wrong('messages', 'the same detail for all pictures of a request');
    }
    return [...this.#details][0];
  }
}

interface TileDefaults {
  readonly minTiles: number;
  readonly maxTiles: number;
  readonly useThumbnail: boolean;
}

/**
 * The prompt's options as the library takes them: tiles by `detail` where the request names none.
 *
 * @param defaults of the checkpoint, which `high` asks for
 */
export function promptOf(
  {
    prompt,
    detail,
    system,
  }: Pick<PromptFields, 'prompt'> & {
    readonly detail: Detail | undefined;
    readonly system?: string | undefined;
  },
  defaults: TileDefaults,
): PromptFields['prompt'] & { readonly system?: string } {
  const tiling = prompt.tiling ?? tilingOf(detail, defaults);
  return { ...prompt, tiling, ...(system !== undefined && { system }) };
}

function tilingOf(
  detail: Detail | undefined,
  { minTiles, maxTiles, useThumbnail: thumbnail }: TileDefaults,
): TilingOptions | undefined {
  if (detail === 'low') return 'off';
  return detail === 'high' ? { minTiles, maxTiles, thumbnail } : undefined;
}

export class MessageReader {
  readonly #problems: Problems;
  readonly #pictures: PictureReader;

  constructor(pictures: PictureReader, problems: Problems) {
    this.#pictures = pictures;
    this.#problems = problems;
  }

  /** @param where name of the list */
  read(messages: unknown, where: string): readonly TakenTurn[] {
    const problems = this.#problems;
    if (!Array.isArray(messages) || messages.length < 1 || messages.length > MOST_MESSAGES) {
      problems.wrong(where, `a list of 1..${MOST_MESSAGES} messages`);
      return [];
    }
    const turns = messages.flatMap((message, i) => this.#turn(message, `${where}[${i}]`) ?? []);
    const lead = turns.findIndex(({ role }) => role !== 'system');
    const leading = lead < 0 ? turns : turns.slice(0, lead);
    const rest = lead < 0 ? [] : turns.slice(lead);
    if (rest.some(({ role }) => role === 'system')) {
      problems.wrong(where, 'system turns at the beginning only');
    }
    if (leading.length === 0) return rest;
    return [{ role: 'system', content: leading.map(textOf).join('\n\n') }, ...rest];
  }

  #turn(message: unknown, param: string): TakenTurn | undefined {
    const problems = this.#problems;
    if (!isObject(message)) {
      problems.wrong(param, '{role, content}');
      return undefined;
    }
    const { role } = message;
    const taken = typeof role === 'string' && Object.hasOwn(ROLES, role) ? ROLES[role] : undefined;
    if (taken === undefined) {
      if (role === 'tool' || role === 'function') this.#unsupportedPart(param, `role ${role}`);
      else problems.wrong(`${param}.role`, Object.keys(ROLES).join(', '));
      return undefined;
    }
    for (const name of Object.keys(message)) {
      if (['role', 'content', 'name', 'annotations'].includes(name)) continue;
      const at = `${param}.${name.slice(0, 64)}`;
      if (!OFF_IN_MESSAGES.includes(name)) {
        const text = `${at}: there is no such field`;
        problems.add({ code: 'unknown_parameter', param: at, message: text });
      } else if (!isOff(message[name])) this.#unsupportedPart(at, name);
    }
    const content = this.#content(message['content'], taken, `${param}.content`);
    return content === undefined ? undefined : { role: taken, content };
  }

  #content(content: unknown, role: ChatRole, param: string): TakenTurn['content'] | undefined {
    if (typeof content === 'string') return content;
    if (!Array.isArray(content) || content.length < 1 || content.length > MOST_PARTS) {
      this.#problems.wrong(param, `a text, or 1..${MOST_PARTS} parts`);
      return undefined;
    }
    const parts = content.flatMap((part, i) => this.#part(part, role, `${param}[${i}]`) ?? []);
    // Of turns without pictures it comes to the same, whatever the template.
    return role === 'user' ? parts : parts.map((part) => textOfPart(part)).join('');
  }

  #part(part: unknown, role: ChatRole, param: string): TakenPart | undefined {
    const type = isObject(part) ? part['type'] : undefined;
    if (isObject(part) && type === 'text') {
      const { text } = part;
      if (typeof text === 'string') return { type: 'text', text };
      this.#problems.wrong(`${param}.text`, 'a text');
      return undefined;
    }
    if (isObject(part) && type === 'image_url') {
      if (role === 'user') return { type: 'image', picture: this.#pictures.takePart(part, param) };
      this.#unsupportedPart(param, `a picture in a turn of ${role}`);
      return undefined;
    }
    if (typeof type === 'string') this.#unsupportedPart(param, 'this type of part');
    else this.#problems.wrong(param, "{type: 'text', text} or {type: 'image_url', image_url}");
    return undefined;
  }

  #unsupportedPart(param: string, what: string): void {
    const message = `${param}: ${what} is not supported`;
    this.#problems.add({ code: 'unsupported_content_part', param, message });
  }
}

const textOfPart = (part: TakenPart): string => (part.type === 'text' ? part.text : '');

function textOf({ content }: TakenTurn): string {
  return typeof content === 'string' ? content : content.map(textOfPart).join('');
}

export function toMessages(
  turns: readonly TakenTurn[],
  images: readonly Uint8Array[],
): readonly ChatMessage[] {
  return turns.map(({ role, content }) => ({
    role,
    content:
      typeof content === 'string'
        ? content
        : content.map((part) =>
            part.type === 'text'
              ? part
              : { type: 'image', image: images[part.picture] ?? new Uint8Array() },
          ),
  }));
}

/** @throws through `problems` */
export function checkPictureCount(
  pictures: readonly unknown[],
  { limits }: Policy,
  problems: Problems,
  param = 'messages',
): void {
  if (pictures.length <= limits.images) return;
  const message = `expected at most ${limits.images} pictures, received ${pictures.length}`;
  problems.add({ code: 'too_many_images', param, message });
}
