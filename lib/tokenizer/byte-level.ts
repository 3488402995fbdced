/**
 * GPT-2's map of bytes to printable characters, as Qwen2's vocabulary uses it (docs/internvl3.md,
 * section 8): bytes 33-126, 161-172 and 174-255 stand for themselves, the others, in ascending order,
 * for U+0100, U+0101, ...
 */

function isPrintable(byte: number): boolean {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

/** The character that stands for each byte. */
export const CHARACTER_OF_BYTE: readonly string[] = (() => {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCharCode(isPrintable(byte) ? byte : next++),
  );
})();

const BYTE_OF_CHARACTER: ReadonlyMap<string, number> = new Map(
  CHARACTER_OF_BYTE.map((character, byte) => [character, byte]),
);

const encoder = new TextEncoder();

/** Bytes of a vocabulary entry. One with a character outside the map is taken as UTF-8 text. */
export function tokenBytes(token: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of token) {
    const byte = BYTE_OF_CHARACTER.get(character);
    if (byte === undefined) return encoder.encode(token);
    bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

/**
 * The pre-tokenisation pattern with Unicode's White_Space spelled out: JavaScript's `\s` lacks U+0085
 * and has U+FEFF. `ſ` (U+017F) folds to s, and so matches the s of 's.
 */
const SPACE = '\\t-\\r \\u0085\\u00A0\\u1680\\u2000-\\u200A\\u2028\\u2029\\u202F\\u205F\\u3000';
export const SPLIT_PATTERN: string = [
  "'(?:[sS\\u017F]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])",
  '[^\\r\\n\\p{L}\\p{N}]?\\p{L}+',
  '\\p{N}',
  ` ?[^${SPACE}\\p{L}\\p{N}]+[\\r\\n]*`,
  `[${SPACE}]*[\\r\\n]+`,
  `[${SPACE}]+(?![^${SPACE}])`,
  `[${SPACE}]+`,
].join('|');

const SPLIT = new RegExp(SPLIT_PATTERN, 'gu');

/** The pieces that BPE sees of a text without control tokens. Joined, they are the text in NFC. */
export function preTokenise(text: string): readonly string[] {
  return text.normalize('NFC').match(SPLIT) ?? [];
}

/** The step of tokenizer.json that writes bytes as visible characters; Qwen2 cuts words in a step before it. */
export const BYTE_LEVEL = {
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: false,
  use_regex: false,
} as const;
