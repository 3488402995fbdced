/** A page taken apart far enough to test it: every element is closed, and what its attributes say. */
import assert from 'node:assert/strict';

const VOID = new Set(['meta', 'img', 'br', 'hr', 'link', 'input']);
const TAG = /<(\/?)([a-zA-Z][\w-]*)((?:\s+[\w:-]+(?:="[^"]*")?)*)\s*(\/?)>/g;

export interface HtmlElement {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&#39;': "'",
  '&amp;': '&',
};

function unescape(text: string): string {
  return text.replace(/&(?:lt|gt|quot|#39|amp);/g, (entity) => ENTITIES[entity] ?? entity);
}

/** All elements in order; fails where tags do not match or a `<` is no tag. */
export function outlineOf(page: string): readonly HtmlElement[] {
  const body = page.replace(/^<!doctype html>/, '').replace(/<style>[^<]*<\/style>/, '');
  const elements: HtmlElement[] = [];
  const open: string[] = [];
  for (const [, slash, name = '', attributes = '', closed] of body.matchAll(TAG)) {
    if (slash === '/') {
      assert.equal(name, open.pop(), `</${name}>`);
      continue;
    }
    const pairs = [...attributes.matchAll(/([\w:-]+)(?:="([^"]*)")?/g)];
    elements.push({
      name,
      attributes: Object.fromEntries(
        pairs.map(([, key = '', value = '']) => [key, unescape(value)]),
      ),
    });
    if (closed !== '/' && !VOID.has(name)) open.push(name);
  }
  assert.deepEqual(open, []);
  assert.doesNotMatch(body.replace(TAG, ''), /</, 'a tag that is none');
  return elements;
}

/** What is to be read, on one line. */
export function textOf(page: string): string {
  const text = page.replace(/<style>[^<]*<\/style>/, '').replace(/<[^>]*>/g, ' ');
  return unescape(text).replace(/\s+/g, ' ');
}
