/**
 * One entry of LLaMA-Factory's dataset_info.json (v0.9.3, data/parser.py). Deviations:
 * - An unknown key is an error. LLaMA-Factory ignores it, and so loses the pictures of the authors'
 *   own file, which says `columns.image` and `image_root` (github idiap/facellm). Here both
 *   mean what they say.
 * - Tags that a `tags` block leaves out keep their defaults; there they become none.
 * - With `ranking` a record may still lack a rejected answer; it is then learnt from as any other.
 * - `num_samples` takes the first records, or all if there are fewer; there it draws at random.
 * As there, a `columns` block leaves the columns that it does not name unread.
 */
import { resolve } from 'node:path';

import { didYouMean, received } from '../options/describe.js';
import { isJsonObject, type JsonObject } from '../files/index.js';
import type { RecordLayout, TurnRole } from './layout.js';

/** The name that LLaMA-Factory looks for in a folder. */
export const INFO_NAME = 'dataset_info.json';

/** An entry that reads a local ShareGPT file. */
export interface DatasetEntry {
  /** Absolute. */
  readonly file: string;
  readonly layout: RecordLayout;
  /** Absolute; undefined if the entry has no `image_root`. */
  readonly imageRoot: string | undefined;
  readonly numSamples: number | undefined;
}

// subset and folder choose within a hub repository; for a file LLaMA-Factory ignores them too.
const ENTRY_KEYS = [
  ...['file_name', 'formatting', 'columns', 'tags', 'split', 'num_samples'],
  ...['subset', 'folder', 'ranking', 'image_root'],
];
const REMOTE_KEYS = ['hf_hub_url', 'ms_hub_url', 'om_hub_url', 'script_url', 'cloud_file_name'];
/** Keys of which every entry has one. */
export const LOCATION_KEYS: readonly string[] = ['file_name', ...REMOTE_KEYS];
const COLUMN_KEYS = ['messages', 'images', 'image', 'system', 'chosen', 'rejected'];
const FOREIGN_COLUMN_KEYS = [
  ...['tools', 'videos', 'audios', 'kto_tag'],
  ...['prompt', 'query', 'response', 'history'],
];
const DEFAULT_TAGS: Readonly<Record<string, string>> = {
  role_tag: 'from',
  content_tag: 'value',
  user_tag: 'human',
  assistant_tag: 'gpt',
  system_tag: 'system',
};
// Known, but a turn of these roles is an error of its record.
const UNUSED_TAG_KEYS = ['observation_tag', 'function_tag'];

type Report = (problem: string) => void;

/** The keys that are set, without those that are null. */
function settings(
  block: unknown,
  place: string,
  known: readonly string[],
  report: Report,
): JsonObject | undefined {
  if (block === undefined || block === null) return undefined;
  if (!isJsonObject(block)) {
    report(`${place === '' ? 'entry' : place}: expected an object, ${received(block)}`);
    return undefined;
  }
  const given = Object.entries(block).filter(([, value]) => value !== null);
  for (const [key] of given) {
    if (known.includes(key)) continue;
    const path = place === '' ? key : `${place}.${key}`;
    if (place === '' && REMOTE_KEYS.includes(key)) {
      report(`${path}: is not supported; download the data and give file_name`);
    } else if (place === 'columns' && FOREIGN_COLUMN_KEYS.includes(key)) {
      report(`${path}: is not supported; conversations with images are`);
    } else {
      report(`${path}: unknown key; ${didYouMean(key, known)}`);
    }
  }
  return Object.fromEntries(given);
}

function text(block: JsonObject, key: string, place: string, report: Report): string | undefined {
  const value = block[key];
  if (value === undefined) return undefined;
  if (typeof value === 'string' && value !== '') return value;
  report(`${place}${key}: expected text, ${received(value)}`);
  return undefined;
}

function readColumns(
  entry: JsonObject,
  report: Report,
): Pick<RecordLayout, 'messages' | 'images' | 'system' | 'chosen' | 'rejected'> {
  const columns = settings(entry['columns'], 'columns', COLUMN_KEYS, report);
  const isRanked = entry['ranking'] === true;
  if (isRanked && (columns?.['chosen'] === undefined || columns['rejected'] === undefined)) {
    report('ranking: expected columns.chosen and columns.rejected, which hold the two answers');
  } else if (!isRanked && (columns?.['chosen'] ?? columns?.['rejected']) !== undefined) {
    report('ranking: expected true beside columns.chosen and columns.rejected');
  }
  if (columns === undefined) {
    const none = { system: undefined, chosen: undefined, rejected: undefined };
    return { messages: 'conversations', images: [], ...none };
  }
  if (columns['messages'] === undefined) {
    report('columns.messages: is missing; a columns block must name the conversations');
  }
  if (columns['images'] !== undefined && columns['image'] !== undefined) {
    report('columns.image: means the same as columns.images; use one of them');
  }
  const column = (key: string): string | undefined => text(columns, key, 'columns.', report);
  const images = [column('images'), column('image')].filter((key) => key !== undefined);
  return {
    ...{ messages: column('messages') ?? '', images, system: column('system') },
    ...{ chosen: column('chosen'), rejected: column('rejected') },
  };
}

function readTags(
  entry: JsonObject,
  report: Report,
): Pick<RecordLayout, 'role' | 'content' | 'roles'> {
  const known = [...Object.keys(DEFAULT_TAGS), ...UNUSED_TAG_KEYS];
  const tags = settings(entry['tags'], 'tags', known, report) ?? {};
  const tag = (key: string): string => text(tags, key, 'tags.', report) ?? DEFAULT_TAGS[key] ?? '';
  const words: readonly (readonly [string, TurnRole])[] = [
    [tag('user_tag'), 'user'],
    [tag('assistant_tag'), 'assistant'],
    [tag('system_tag'), 'system'],
  ];
  const roles = new Map(words);
  const [role, content] = [tag('role_tag'), tag('content_tag')];
  if (roles.size < words.length) {
    const list = words.map(([word]) => word).join(', ');
    report(`tags: expected different words for user, assistant and system, received ${list}`);
  }
  if (role === content) report(`tags: role_tag and content_tag are both ${role}`);
  return { role, content, roles };
}

function checkModes(entry: JsonObject, report: Report): void {
  const { formatting, split = 'train', ranking = false } = entry;
  if (formatting !== 'sharegpt') {
    const came =
      formatting === undefined ? 'but it is missing, which means alpaca' : received(formatting);
    report(`formatting: expected "sharegpt", ${came}; alpaca is not supported`);
  }
  if (split !== 'train') {
    report(`split: expected "train", the only split of a file, ${received(split)}`);
  }
  if (typeof ranking !== 'boolean') {
    report(`ranking: expected true or false, ${received(ranking)}`);
  }
  for (const key of ['subset', 'folder']) text(entry, key, '', report);
}

/**
 * Reads an entry; relative paths in it start at `folder`, that of its dataset_info.json. What is
 * wrong goes to `report`, one call per problem, and the result is then not to be used.
 */
export function readEntry(raw: unknown, folder: string, report: Report): DatasetEntry {
  const entry = settings(raw, '', ENTRY_KEYS, report) ?? {};
  checkModes(entry, report);
  const fileName = text(entry, 'file_name', '', report);
  const isRemote = REMOTE_KEYS.some((key) => entry[key] !== undefined);
  if (entry['file_name'] === undefined && !isRemote) {
    report('file_name: is missing; give the path of a .json or .jsonl file');
  }
  const numSamples = entry['num_samples'];
  const isCount = Number.isSafeInteger(numSamples) && Number(numSamples) >= 1;
  if (numSamples !== undefined && !isCount) {
    report(`num_samples: expected a whole number from 1, ${received(numSamples)}`);
  }
  const imageRoot = text(entry, 'image_root', '', report);
  return {
    file: resolve(folder, fileName ?? ''),
    layout: { ...readColumns(entry, report), ...readTags(entry, report) },
    imageRoot: imageRoot === undefined ? undefined : resolve(folder, imageRoot),
    numSamples: isCount ? Number(numSamples) : undefined,
  };
}
