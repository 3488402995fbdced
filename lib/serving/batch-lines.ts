/** The lines of a batch's file, OpenAI's `{custom_id, method, url, body}`: all checked before the first is asked. */
import { open } from 'node:fs/promises';

import { createError } from '../errors.js';
import { columnOfFault, isJsonObject, parseJson, systemCode } from '../files/index.js';

export interface BatchLine {
  readonly customId: string;
  readonly url: string;
  /** Of its first byte in the file. */
  readonly start: number;
  /** Bytes, without the line's end. */
  readonly length: number;
}

export interface BatchFault {
  /** From 1. */
  readonly line: number;
  readonly code: string;
  readonly message: string;
}

export interface BatchLimits {
  readonly lines: number;
  readonly lineBytes: number;
}

export interface CheckedLines {
  readonly lines: readonly BatchLine[];
  /** The first ones. */
  readonly faults: readonly BatchFault[];
}

/** What a line may ask. */
export const BATCH_URLS: readonly string[] = [
  ...['/v1/chat/completions', '/v1/responses', '/v1/choose', '/v1/extract', '/v1/embeddings'],
];
const KNOWN = ['custom_id', 'method', 'url', 'body'];
const MOST_FAULTS = 100;
const CHUNK = 2 ** 20;
const LINE_FEED = 0x0a;

/**
 * @param only the address that all lines must ask, if that is said
 * @throws DataError FACELLM_DATA_NOT_FOUND where it cannot be read
 */
export async function readBatchLines(
  path: string,
  limits: BatchLimits,
  only?: string,
): Promise<CheckedLines> {
  const lines: BatchLine[] = [];
  const faults: BatchFault[] = [];
  const ids = new Set<string>();
  let number = 0;
  for await (const { start, bytes } of linesOf(path, limits.lineBytes)) {
    number++;
    const refuse = (code: string, message: string): void => {
      if (faults.length < MOST_FAULTS) faults.push({ line: number, code, message });
    };
    if (bytes === undefined) {
      refuse('line_too_large', `the line has more than ${limits.lineBytes} bytes`);
      continue;
    }
    const text = lineText(bytes);
    if (text === undefined) {
      const column = columnOfFault(bytes);
      refuse('invalid_utf8', `the line is not UTF-8 at column ${column}; save the file as UTF-8`);
      continue;
    }
    if (text === '') continue;
    if (lines.length >= limits.lines) {
      refuse('too_many_lines', `there are more than ${limits.lines} lines; make two batches`);
      break;
    }
    const found = checkLine(text, only, refuse);
    if (found === undefined) continue;
    if (ids.has(found.customId))
      refuse('duplicate_custom_id', 'its custom_id is that of a line before');
    ids.add(found.customId);
    lines.push({ ...found, start, length: bytes.length });
  }
  if (lines.length === 0 && faults.length === 0) {
    faults.push({ line: 1, code: 'empty_file', message: 'the file has no lines' });
  }
  return { lines, faults };
}

/** A line as it is checked and asked, without a byte order mark; undefined where it is not UTF-8. */
export function lineText(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes).trim();
  } catch {
    return undefined;
  }
}

function checkLine(
  text: string,
  only: string | undefined,
  refuse: (code: string, message: string) => void,
): Pick<BatchLine, 'customId' | 'url'> | undefined {
  const parsed = parseJson(text);
  if (!parsed.isValid || !isJsonObject(parsed.value)) {
    refuse('invalid_json_line', 'expected a JSON object on the line');
    return undefined;
  }
  const { custom_id: customId, method, url, body } = parsed.value;
  const unknown = Object.keys(parsed.value).filter((key) => !KNOWN.includes(key));
  if (unknown.length > 0) {
    refuse(
      'unknown_parameter',
      `there are ${KNOWN.join(', ')}, and no ${unknown[0]?.slice(0, 64)}`,
    );
  }
  const isNamed = typeof customId === 'string' && customId.length >= 1 && customId.length <= 512;
  if (!isNamed) refuse('invalid_custom_id', 'custom_id: expected a text of 1..512 characters');
  if (method !== 'POST') refuse('invalid_method', 'method: expected POST');
  const isKnown = typeof url === 'string' && BATCH_URLS.includes(url);
  if (!isKnown) refuse('invalid_url', `url: expected ${BATCH_URLS.join(', ')}`);
  else if (only !== undefined && url !== only)
    refuse('mismatched_url', `url: expected ${only}, as the batch says`);
  if (!isJsonObject(body)) refuse('invalid_body', 'body: expected an object');
  return isNamed && isKnown ? { customId, url } : undefined;
}

interface RawLine {
  readonly start: number;
  /** Undefined: longer than it may be. */
  readonly bytes: Buffer | undefined;
}

/** Lines of a file of any size; the last may lack its end. */
async function* linesOf(path: string, most: number): AsyncGenerator<RawLine> {
  const failure = (cause: unknown): Error =>
    createError('FACELLM_DATA_NOT_FOUND', `${path} cannot be read (${systemCode(cause)})`, {
      cause,
    });
  await using handle = await open(path, 'r').catch((cause: unknown) => {
    throw failure(cause);
  });
  const chunk = Buffer.alloc(CHUNK);
  let held: Buffer[] = [];
  let size = 0;
  let start = 0;
  let at = 0;
  const line = (): RawLine => ({ start, bytes: size > most ? undefined : Buffer.concat(held) });
  for (;;) {
    const { bytesRead } = await handle.read(chunk, 0, CHUNK, at).catch((cause: unknown) => {
      throw failure(cause);
    });
    if (bytesRead === 0) break;
    let from = 0;
    while (from < bytesRead) {
      const end = chunk.subarray(0, bytesRead).indexOf(LINE_FEED, from);
      const to = end === -1 ? bytesRead : end;
      size += to - from;
      // What is too long is counted and not kept.
      if (size <= most) held.push(Buffer.from(chunk.subarray(from, to)));
      else held = [];
      from = to + 1;
      if (end === -1) break;
      yield line();
      [held, size, start] = [[], 0, at + from];
    }
    at += bytesRead;
  }
  if (size > 0) yield line();
}
