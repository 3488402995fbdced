/**
 * The chat template of a checkpoint folder, found where transformers 5.18 finds it (processing_utils.py,
 * get_processor_dict; tokenization_utils_base.py, get_chat_template): a `chat_template` of
 * processor_config.json; else chat_template.json; else chat_template.jinja and the folder
 * additional_chat_templates/; else what tokenizer_config.json holds. Of several templates the one named
 * "default" counts.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { createError, type FaceLlmError } from '../errors.js';
import {
  isJsonObject,
  jsonFault,
  type JsonObject,
  parseJson,
  readOptionalText,
  universalNewlines,
} from '../files/index.js';

export interface TemplateFile {
  readonly source: string;
  /** For messages. */
  readonly path: string;
}

const CODE = 'FACELLM_TEMPLATE_INVALID';
const CODES = { unreadable: CODE, invalid: CODE } as const;
const ADDITIONAL = 'additional_chat_templates';

/** FACELLM_TEMPLATE_INVALID, with what can be done without the template. */
export function invalidTemplate(message: string, cause?: unknown): FaceLlmError {
  const reason = cause instanceof Error ? [cause.message] : [];
  return createError(CODE, `${message}; the forms original and training do not need it`, {
    details: reason,
    cause,
  });
}

/**
 * @returns undefined where the folder has none
 * @throws CheckpointError FACELLM_TEMPLATE_INVALID
 */
export async function findTemplate(directory: string): Promise<TemplateFile | undefined> {
  const find = async (name: string): Promise<TemplateFile | undefined> => {
    const path = join(directory, name);
    return toFile(path, (await readJson(path))?.['chat_template']);
  };
  return (
    (await find('processor_config.json')) ??
    (await findLegacy(directory)) ??
    (await findInFiles(directory)) ??
    (await find('tokenizer_config.json'))
  );
}

/** Names of tokens that a template may use (`eos_token`, `pad_token`, ...), as the tokenizer's files give them. */
export async function readNamedTokens(
  directory: string,
): Promise<Readonly<Record<string, string>>> {
  const config = (await readJson(join(directory, 'tokenizer_config.json'))) ?? {};
  // transformers reads the older file only where the newer one lists no tokens.
  const isLegacy = config['added_tokens_decoder'] === undefined;
  const map = isLegacy ? await readJson(join(directory, 'special_tokens_map.json')) : undefined;
  const named = Object.entries({ ...config, ...map }).flatMap(([name, token]) => {
    const text = isJsonObject(token) ? token['content'] : token;
    return name.endsWith('_token') && typeof text === 'string' ? [[name, text] as const] : [];
  });
  return Object.fromEntries(named);
}

/** chat_template.json, which stands for itself alone. */
async function findLegacy(directory: string): Promise<TemplateFile | undefined> {
  const path = join(directory, 'chat_template.json');
  const json = await readJson(path);
  if (json === undefined) return undefined;
  const file = toFile(path, json['chat_template']);
  if (file === undefined) throw invalidTemplate(`${path} holds no chat_template`);
  const others = await listAdditional(directory);
  if (others.length === 0) return file;
  throw invalidTemplate(
    `${path} stands beside ${ADDITIONAL}/${others[0]}, and which one counts is not defined; remove one of ` +
      'them (chat_template.jinja is the name of today)',
  );
}

/** chat_template.jinja is the default one among those of the folder. */
async function findInFiles(directory: string): Promise<TemplateFile | undefined> {
  const path = join(directory, 'chat_template.jinja');
  const source = await readOptionalText(path, CODES);
  if (source !== undefined) return toFile(path, source);
  const names = (await listAdditional(directory)).map((name) => name.replace(/\.jinja$/, ''));
  if (names.length === 0) return undefined;
  const folder = join(directory, ADDITIONAL);
  if (!names.includes('default')) throw noDefault(folder, names);
  const own = join(folder, 'default.jinja');
  return toFile(own, await readOptionalText(own, CODES));
}

async function listAdditional(directory: string): Promise<readonly string[]> {
  const names = await readdir(join(directory, ADDITIONAL)).catch(() => []);
  return names.filter((name) => name.endsWith('.jinja')).sort();
}

async function readJson(path: string): Promise<JsonObject | undefined> {
  const text = await readOptionalText(path, CODES);
  if (text === undefined) return undefined;
  const json = parseJson(text);
  if (!json.isValid) throw invalidTemplate(`${path} ${jsonFault(text, json.reason)}`);
  return isJsonObject(json.value) ? json.value : {};
}

/** One template, or several by name: an object, or a list of `{name, template}`. */
function toFile(path: string, written: unknown): TemplateFile | undefined {
  if (written === undefined || written === null) return undefined;
  // Python opens files so, and jinja does it to every template: a Windows checkout's says the same.
  if (typeof written === 'string') return { path, source: universalNewlines(written) };
  const named = namedTemplates(written);
  if (named === undefined) {
    throw invalidTemplate(
      `${path}: chat_template: expected a text, or a list of {name, template}, each a text`,
    );
  }
  const source = named.get('default');
  if (source === undefined) throw noDefault(path, [...named.keys()]);
  return { path, source: universalNewlines(source) };
}

function namedTemplates(written: unknown): ReadonlyMap<string, string> | undefined {
  const pairs: readonly (readonly [unknown, unknown])[] = Array.isArray(written)
    ? (written as readonly unknown[]).map((entry) =>
        isJsonObject(entry) ? [entry['name'], entry['template']] : [undefined, undefined],
      )
    : isJsonObject(written)
      ? Object.entries(written)
      : [[undefined, undefined]];
  const isText = (pair: readonly [unknown, unknown]): pair is readonly [string, string] =>
    pair.every((part) => typeof part === 'string');
  return pairs.every(isText) ? new Map(pairs) : undefined;
}

function noDefault(path: string, names: readonly string[]): FaceLlmError {
  const list = names.map((name) => JSON.stringify(name)).join(', ');
  return invalidTemplate(
    `${path} holds several chat templates (${list || 'none'}), none of them named "default"; name the one to ` +
      'use so',
  );
}
