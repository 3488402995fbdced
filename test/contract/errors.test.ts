/** The native error table, lib/errors.ts and docs/errors.md say the same. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { loadAddon } from '../../lib/binding/load.js';
import { createError, ERROR_CODES, FaceLlmError, fromNative } from '../../lib/errors.js';

const ROOT = join(import.meta.dirname, '..', '..');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

describe('contract: errors', () => {
  const docs = read('docs/errors.md');

  it('the native table is the first part of ERROR_CODES, in its order', () => {
    const native = loadAddon().errorCodes();
    assert.ok(native.length > 10);
    assert.deepEqual(native, ERROR_CODES.slice(0, native.length));
    // The rest is marked as TypeScript's own.
    const marked = read('lib/errors.ts').split('// raised by TypeScript only')[1] ?? '';
    const own = [...(marked.split('] as const')[0]?.matchAll(/'(FACELLM_\w+)'/g) ?? [])];
    assert.deepEqual(
      own.map((match) => match[1]),
      ERROR_CODES.slice(native.length),
    );
  });

  it('no source uses a code that is in none of them', () => {
    const table = read('native/core/error.cpp').match(/FACELLM_\w+/g) ?? [];
    assert.deepEqual([...new Set(table)].sort(), [...loadAddon().errorCodes()].sort());
    const installer = read('scripts/install/report.mjs').match(/'FACELLM_\w+'/g) ?? [];
    assert.ok(installer.length > 0);
    for (const quoted of installer) {
      assert.ok((ERROR_CODES as readonly string[]).includes(quoted.slice(1, -1)), quoted);
    }
  });

  it('docs/errors.md has one paragraph a code, none else, each with something in it', () => {
    const sections = docs.split(/^## /m).slice(1);
    const headings = sections.map((section) => section.split('\n')[0] ?? '');
    assert.deepEqual(headings.sort(), [...ERROR_CODES].sort());
    for (const section of sections) {
      assert.ok(section.split('\n').slice(1).join(' ').trim().length > 40, section);
    }
  });

  it("its table gives each code the class that createError gives it, and the class's name", () => {
    const rows = [...docs.matchAll(/^\| (`.*`) \| ([A-Z_, ]+) \|$/gm)];
    const listed = new Map<string, string>();
    for (const [, classes = '', codes = ''] of rows) {
      const names = classes.match(/\w+/g) ?? [];
      codes.split(', ').forEach((code, i) => {
        assert.ok(!listed.has(`FACELLM_${code}`), `${code} stands in two rows`);
        // One class for the whole row, or one a code.
        listed.set(`FACELLM_${code}`, (names.length === 1 ? names[0] : names[i]) ?? '');
      });
    }
    const made = ERROR_CODES.map((code) => {
      const error = createError(code, 'x', { details: ['y'] });
      assert.ok(error instanceof FaceLlmError && error.code === code);
      assert.equal(error.constructor.name, error.name);
      return [code, error.name] as const;
    });
    assert.deepEqual([...listed].sort(), [...made].sort());
  });

  it('whatever the addon throws becomes one of ours, with its cause', () => {
    const native = Object.assign(new Error('no room'), {
      code: 'FACELLM_OUT_OF_MEMORY',
      details: ['a', 'b'],
    });
    const error = fromNative(native);
    assert.equal(error.name, 'DeviceError');
    assert.deepEqual(error.details, ['a', 'b']);
    assert.equal(error.cause, native);
    for (const odd of [new Error('x'), 'text', undefined, { code: 'FACELLM_NO_SUCH_CODE' }]) {
      assert.equal(fromNative(odd).code, 'FACELLM_INTERNAL');
    }
  });
});
