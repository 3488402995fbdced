/**
 * Bytes of a body to fields and pictures. Runs on the event loop for small bodies, else in a thread: parsing and base64 of a
 * 20 MB picture take 95 ms.
 */
import { type Picture, readPicture } from './data-url.js';
import { type Body, isObject } from './values.js';

export interface ParsedBody {
  /** Each picture's URL is replaced by its place in `pictures`. */
  readonly body: Body;
  readonly pictures: readonly Picture[];
}

/** What is wrong with a body as a whole. */
export interface BodyProblem {
  readonly problem: string;
}

export type BodyResult = ParsedBody | BodyProblem;

/** Deeper ones mean no request of ours, and would be walked by code that recurses. */
const MOST_DEPTH = 64;

/** Whether brackets nest deeper than that; texts are skipped, faults are the parser's to find. */
function isTooDeep(bytes: Uint8Array): boolean {
  let depth = 0;
  let isText = false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    if (isText) {
      if (byte === 0x5c) i++;
      else if (byte === 0x22) isText = false;
    } else if (byte === 0x22) isText = true;
    else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > MOST_DEPTH) return true;
    } else if (byte === 0x7d || byte === 0x5d) depth--;
  }
  return false;
}

/** Whose fields a body has: in `/v1/responses` a text in `input` is a question, elsewhere a picture's address. */
export type BodyKind = 'usual' | 'responses';

export function parseBody(bytes: Uint8Array, kind: BodyKind = 'usual'): BodyResult {
  if (isTooDeep(bytes)) return { problem: `nested deeper than ${MOST_DEPTH}` };
  let body: unknown;
  try {
    body = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    // The parser's message shows what it stumbled over.
    return { problem: 'not JSON in UTF-8' };
  }
  if (!isObject(body)) return { problem: 'not a JSON object' };
  const pictures: Picture[] = [];
  takePictures(body, pictures, kind);
  return { body, pictures };
}

type Writable = Record<string, unknown>;

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** Every place in which a request may have a picture: its text goes to `pictures`, its place there comes instead. */
function takePictures(body: Body, pictures: Picture[], kind: BodyKind): void {
  const take = (holder: object, key: string | number): void => {
    const slots = holder as Writable;
    pictures.push(readPicture(slots[key]));
    slots[key] = pictures.length - 1;
  };
  const ofParts = (content: unknown): void => {
    for (const part of listOf(content)) {
      if (!isObject(part) || part['type'] !== 'image_url') continue;
      const { image_url: image } = part;
      if (isObject(image)) take(image, 'url');
      else take(part, 'image_url');
    }
  };
  const ofMessages = (messages: unknown): void => {
    for (const message of listOf(messages)) if (isObject(message)) ofParts(message['content']);
  };
  const ofImages = (images: unknown): void => {
    listOf(images).forEach((image, i) => {
      if (isObject(image)) ofParts([image]);
      else take(images as object, i);
    });
  };
  if (kind === 'responses') {
    ofResponses(body, take);
    return;
  }
  ofMessages(body['messages']);
  ofImages(body['images']);
  for (const item of listOf(body['items'])) if (isObject(item)) ofMessages(item['messages']);
  ofInput(body, take, ofParts);
}

/** Of `/v1/responses`: parts `{type: 'input_image', image_url}`. */
function ofResponses(body: Body, take: (holder: object, key: string) => void): void {
  for (const item of listOf(body['input'])) {
    if (!isObject(item)) continue;
    for (const part of listOf(item['content'])) {
      if (isObject(part) && part['type'] === 'input_image') take(part, 'image_url');
    }
  }
}

/** Of `/v1/embeddings`: one or several, each `{content: [...]}` or a URL. */
function ofInput(
  body: Body,
  take: (holder: object, key: string | number) => void,
  ofParts: (content: unknown) => void,
): void {
  const { input } = body;
  if (typeof input === 'string') take(body, 'input');
  else if (isObject(input)) ofParts(input['content']);
  listOf(input).forEach((one, i) => {
    if (isObject(one)) ofParts(one['content']);
    else if (typeof one === 'string') take(input as object, i);
  });
}
