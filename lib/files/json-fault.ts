/**
 * Where a text stops being JSON. V8 gives no position for most of its syntax errors, and a data
 * file has tens of thousands of lines. Runs only after `JSON.parse` has failed.
 */

const BLANK = /[ \t\r\n]*/y;
const MARK = /[{}[\],:]/y;
// The unrolled loop keeps the regular expression engine from stacking one step per character.
const STRING = /"[^"\\\u0000-\u001f]*(?:\\(?:["\\/bfnrt]|u[\da-fA-F]{4})[^"\\\u0000-\u001f]*)*"/y;
const SCALAR = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.+-])/y;

type Expecting = 'value' | 'first item' | 'key' | 'first key' | 'colon' | 'comma' | 'end';

/** What may follow `token` inside the brackets `open`, which it updates; undefined if misplaced. */
function step(expecting: Expecting, token: string, open: string[]): Expecting | undefined {
  const top = open.at(-1);
  const mayClose = ['first item', 'first key', 'comma'].includes(expecting);
  if (mayClose && token === (top === '{' ? '}' : ']')) {
    open.pop();
    return open.length === 0 ? 'end' : 'comma';
  }
  if (expecting === 'comma') {
    if (token !== ',') return undefined;
    return top === '{' ? 'key' : 'value';
  }
  if (expecting === 'colon') return token === ':' ? 'value' : undefined;
  if (expecting === 'key' || expecting === 'first key') {
    return token.startsWith('"') ? 'colon' : undefined;
  }
  if (expecting === 'end' || '}],:'.includes(token)) return undefined;
  if (token === '{' || token === '[') {
    open.push(token);
    return token === '{' ? 'first key' : 'first item';
  }
  return open.length === 0 ? 'end' : 'comma';
}

/** The length of what `pattern` matches at `offset`; undefined if it does not. */
function lengthAt(pattern: RegExp, text: string, offset: number): number | undefined {
  pattern.lastIndex = offset;
  return pattern.test(text) ? pattern.lastIndex - offset : undefined;
}

/** Offset of the first token that breaks the grammar; that of the end if the text just stops. */
function faultOffset(text: string): number {
  const open: string[] = [];
  let expecting: Expecting = 'value';
  let offset = 0;
  for (;;) {
    offset += lengthAt(BLANK, text, offset) ?? 0;
    const length =
      lengthAt(MARK, text, offset) ??
      lengthAt(STRING, text, offset) ??
      lengthAt(SCALAR, text, offset);
    if (length === undefined) return offset;
    const next = step(expecting, text.slice(offset, offset + length), open);
    if (next === undefined) return offset;
    expecting = next;
    offset += length;
  }
}

/** "line 3, column 7" of the first fault in a text that is not JSON. */
export function faultPlace(text: string): string {
  const before = text.slice(0, faultOffset(text));
  const lineStart = before.lastIndexOf('\n') + 1;
  let line = 1;
  for (let at = before.indexOf('\n'); at !== -1; at = before.indexOf('\n', at + 1)) line++;
  return `line ${line}, column ${before.length - lineStart + 1}`;
}
