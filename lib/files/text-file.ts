/**
 * The one rule for every text file that the program reads: UTF-8, with or without a byte order mark, which is
 * dropped. Anything else is refused, with the place: a byte replaced by U+FFFD would make two words one. Line ends
 * stay as they are; {@link universalNewlines} is for files that the reference opens as text.
 */
import { readFile } from 'node:fs/promises';

import { createError, type ErrorCode } from '../errors.js';
import { firstDetails } from './first-details.js';
import { impostorOf } from './impostor.js';
import { sha256 } from './sha256.js';
import { systemCode } from './system-code.js';

/** Codes of what can go wrong with a text file. */
export interface TextFileCodes {
  /** It is there, and the system does not let it be read. */
  readonly unreadable: ErrorCode;
  /** It is no UTF-8 text. */
  readonly invalid: ErrorCode;
}

/**
 * The text of a file's bytes.
 *
 * @param path for messages
 * @param code of the error
 * @throws FaceLlmError `code`, with line and column of the first byte that is not UTF-8; a detail for each such line
 */
export function decodeText(bytes: Uint8Array, path: string, code: ErrorCode): string {
  const refuse = (message: string): Error => createError(code, message);
  const other = otherEncoding(bytes);
  if (other !== undefined) throw refuse(`${path} is ${other}; ${AS_UTF8}`);
  const impostor = impostorOf(bytes);
  if (impostor?.isNeverMeant === true) throw refuse(`${path} ${impostor.text}`);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    const at = firstFault(bytes);
    if (at === bytes.length) {
      throw refuse(`${path} is too large for one text (${bytes.length} bytes); split it`);
    }
    const byte = (bytes[at] ?? 0).toString(16).toUpperCase().padStart(2, '0');
    const place = `${placeOf(bytes, at)} (byte 0x${byte})`;
    throw createError(code, `${path} is not UTF-8 at ${place}; ${AS_UTF8}`, {
      details: firstDetails(faultyLines(bytes)),
      cause,
    });
  }
}

/**
 * The text of a file; undefined if there is none of that name.
 *
 * @throws FaceLlmError `codes`
 */
export async function readOptionalText(
  path: string,
  codes: TextFileCodes,
): Promise<string | undefined> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    const { code } = cause as { code?: unknown };
    if (code === 'ENOENT') return undefined;
    const reason = typeof code === 'string' ? code : String(cause);
    throw createError(
      codes.unreadable,
      `${path} cannot be read (${reason}); check its kind and permissions`,
      { cause },
    );
  }
  return decodeText(bytes, path, codes.invalid);
}

/**
 * The text of a file of data, and the sha256 of its bytes.
 *
 * @param refusal what to say where the system does not let it be read, by the system's code
 * @throws DataError FACELLM_DATA_NOT_FOUND; FACELLM_DATA_INVALID as {@link decodeText}
 */
export async function readDataText(
  path: string,
  refusal: (code: string) => string,
): Promise<{ readonly text: string; readonly sha256: string }> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw createError('FACELLM_DATA_NOT_FOUND', refusal(systemCode(cause)), { cause });
  });
  return { text: decodeText(bytes, path, 'FACELLM_DATA_INVALID'), sha256: sha256(bytes) };
}

/** Line ends as Python's text mode gives them: CR LF and CR become LF. */
export function universalNewlines(text: string): string {
  return text.replace(/\r\n?/g, '\n');
}

const AS_UTF8 =
  'save it as UTF-8 (a spreadsheet\'s "CSV UTF-8"), or convert it: iconv -f ENCODING -t UTF-8';

/** UTF-16 and UTF-32 by their marks; UTF-16 without one by the zero byte of its first character. */
function otherEncoding(bytes: Uint8Array): string | undefined {
  const [a, b, c, d] = bytes;
  if (a === 0xff && b === 0xfe) return c === 0 && d === 0 ? 'UTF-32' : 'UTF-16 (little-endian)';
  if (a === 0xfe && b === 0xff) return 'UTF-16 (big-endian)';
  if (a === 0 && b === 0 && c === 0xfe && d === 0xff) return 'UTF-32';
  if (a !== 0 && b === 0 && c !== 0) return 'UTF-16 (little-endian)';
  if (a === 0 && b !== 0 && b !== undefined) return 'UTF-16 (big-endian)';
  return undefined;
}

/** Length of the well-formed UTF-8 sequence at `at`; 0 if there is none (Unicode 16, table 3-7). */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const lead = bytes[at] ?? 0;
  const isTail = (n: number, min = 0x80, max = 0xbf): boolean => {
    const byte = bytes[at + n] ?? 0;
    return byte >= min && byte <= max;
  };
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return isTail(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    const min = lead === 0xe0 ? 0xa0 : 0x80;
    const max = lead === 0xed ? 0x9f : 0xbf;
    return isTail(1, min, max) && isTail(2) ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    const min = lead === 0xf0 ? 0x90 : 0x80;
    const max = lead === 0xf4 ? 0x8f : 0xbf;
    return isTail(1, min, max) && isTail(2) && isTail(3) ? 4 : 0;
  }
  return 0;
}

/** Offset of the first byte that is not UTF-8; the length if all are. */
function firstFault(bytes: Uint8Array): number {
  let at = 0;
  while (at < bytes.length) {
    const length = sequenceLength(bytes, at);
    if (length === 0) break;
    at += length;
  }
  return at;
}

/** Column, from 1 in characters, of the first byte of a line that is not UTF-8. */
export function columnOfFault(line: Uint8Array): number {
  const before = new TextDecoder().decode(line.subarray(0, firstFault(line)));
  return Array.from(before).length + 1;
}

/** The lines that are not UTF-8, as far as they can be shown. */
function faultyLines(bytes: Uint8Array): string[] {
  // Latin-1 keeps every byte; in UTF-8 the bytes of CR and LF stand for nothing else.
  const lines = universalNewlines(Buffer.from(bytes).toString('latin1')).split('\n');
  return lines.flatMap((line, i) => {
    const raw = Buffer.from(line, 'latin1');
    const shown = `line ${i + 1}: ${JSON.stringify(raw.toString().slice(0, 200))}`;
    return firstFault(raw) === raw.length ? [] : [shown];
  });
}

/** "line 3, column 7", counted from 1, columns in characters. */
function placeOf(bytes: Uint8Array, at: number): string {
  const before = new TextDecoder().decode(bytes.subarray(0, at));
  const lines = universalNewlines(before).split('\n');
  return `line ${lines.length}, column ${Array.from(lines.at(-1) ?? '').length + 1}`;
}
