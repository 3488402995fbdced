/**
 * Which keys of a record hold what: LLaMA-Factory's columns and tags (v0.9.3, data/parser.py).
 */
import type { JsonObject } from '../files/index.js';

export type TurnRole = 'system' | 'user' | 'assistant';

export interface RecordLayout {
  /** Key of the conversation. */
  readonly messages: string;
  /** Keys that may hold the pictures; in any one record only one of them may. */
  readonly images: readonly string[];
  /** Key of the system text; undefined if there is none. */
  readonly system: string | undefined;
  /** Keys of a better and of a worse answer to the last question; undefined if there are none. */
  readonly chosen: string | undefined;
  readonly rejected: string | undefined;
  /** Keys of a turn. */
  readonly role: string;
  readonly content: string;
  /** What the role key may say. */
  readonly roles: ReadonlyMap<string, TurnRole>;
}

/**
 * A data file read without a dataset_info.json: ShareGPT with its usual keys. FairFaceGPT files
 * write `image` and `assistant`, so both spellings are known.
 */
export const BARE_LAYOUT: RecordLayout = {
  messages: 'conversations',
  images: ['images', 'image'],
  system: 'system',
  chosen: 'chosen',
  rejected: 'rejected',
  role: 'from',
  content: 'value',
  roles: new Map([
    ['human', 'user'],
    ['gpt', 'assistant'],
    ['assistant', 'assistant'],
    ['system', 'system'],
  ]),
};

const PICTURE_KEY = /^(?:image|img)s?(?:_?(?:path|file)s?)?$/i;

function holdsNothing(value: unknown): boolean {
  return value === undefined || value === null || value === '' || isEmptyArray(value);
}

function isEmptyArray(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

/** Keys that hold pictures by their name, but which the layout does not read. */
export function unreadPictureKeys(record: JsonObject, layout: RecordLayout): string[] {
  return Object.keys(record).filter(
    (key) =>
      PICTURE_KEY.test(key) &&
      !layout.images.includes(key) &&
      key !== layout.messages &&
      key !== layout.system &&
      !holdsNothing(record[key]),
  );
}

/** The picture keys of this record that hold something. */
export function filledPictureKeys(record: JsonObject, layout: RecordLayout): string[] {
  return layout.images.filter((key) => !holdsNothing(record[key]));
}
