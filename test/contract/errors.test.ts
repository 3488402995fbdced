/** The native error table, lib/errors.ts, docs/errors.md and every place that raises an error say the same. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { loadAddon } from '../../lib/binding/load.js';
import {
  createError,
  DeviceError,
  ERROR_CODES,
  FaceLlmError,
  fromNative,
} from '../../lib/errors.js';
import { codesOfNative, codesOfScripts, sourceFiles } from '../support/error-uses.js';

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

  describe('in the sources', () => {
    const isCode = (name: string): boolean => (ERROR_CODES as readonly string[]).includes(name);
    const scripts = codesOfScripts(ROOT, [
      ...sourceFiles(ROOT, 'lib', /\.ts$/).filter((file) => file !== 'lib/errors.ts'),
      ...sourceFiles(ROOT, 'scripts', /\.[cm]js$/),
    ]);
    const nativeFiles = sourceFiles(ROOT, 'native', /\.(h|cpp|cu|cuh)$/);
    const native = codesOfNative(
      ROOT,
      nativeFiles.filter((file) => !file.startsWith('native/core/error.')),
    );
    /** kNonFinite of FACELLM_NON_FINITE. */
    const nativeName = (code: string): string =>
      `k${code.slice('FACELLM'.length).replaceAll(/_(.)([A-Z]*)/g, (_, first: string, rest: string) => first + rest.toLowerCase())}`;

    it('every code that is raised or compared with exists', () => {
      assert.ok(scripts.raised.length > 100 && native.raised.size > 10);
      const unknown = [...scripts.raised, ...scripts.named, ...native.written].filter(
        ({ code }) => !isCode(code) && !scripts.variables.has(code),
      );
      assert.deepEqual(unknown, []);
    });

    it('every class that is raised is the one of its code', () => {
      const pairs = scripts.raised.filter(({ className }) => className !== undefined);
      assert.ok(pairs.length > 20);
      const wrong = pairs.filter(({ code, className }) => {
        const { name } = createError(code as (typeof ERROR_CODES)[number], '');
        // The installer, without lib's classes, has one that stands for this one.
        const expected = name === 'NativeLoadError' ? [name, 'InstallError'] : [name];
        return !expected.includes(className ?? '');
      });
      assert.deepEqual(wrong, []);
    });

    it('every code is raised somewhere, those of the engine by the engine', () => {
      const raised = new Set(scripts.raised.map(({ code }) => code));
      const engine = new Set<string>(loadAddon().errorCodes());
      const idle = ERROR_CODES.filter((code) =>
        engine.has(code) ? !native.raised.has(nativeName(code)) : !raised.has(code),
      );
      assert.deepEqual(idle, []);
    });

    it('no comment or text names one that does not exist', () => {
      const cmake = ['CMakeLists.txt', ...sourceFiles(ROOT, 'cmake', /./)].map(read).join('\n');
      const tests = codesOfScripts(ROOT, sourceFiles(ROOT, 'test', /\.ts$/));
      const nativeTests = sourceFiles(ROOT, 'test/native', /\.cpp$/)
        .map(read)
        .join('\n');
      const known = new Set([
        ...(cmake.match(/FACELLM_\w+/g) ?? []),
        ...scripts.variables,
        ...tests.variables,
        ...(nativeTests.match(/(?<=getenv\(")FACELLM_\w+/g) ?? []),
      ]);
      const texts = [
        ...sourceFiles(ROOT, 'lib', /\.ts$/),
        ...sourceFiles(ROOT, 'docs', /\.md$/).filter((file) => !file.includes('decisions')),
        ...[...nativeFiles, ...sourceFiles(ROOT, 'scripts/install', /\.mjs$/)],
        ...['README.md', 'CONTRIBUTING.md'],
      ];
      const unknown = texts.flatMap((file) =>
        [...read(file).matchAll(/\bFACELLM_[A-Z0-9_]+\b/g)]
          .filter(([name]) => !isCode(name) && !known.has(name))
          .map(([name]) => `${file}: ${name}`),
      );
      assert.deepEqual(unknown, []);
    });
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

  it('the message names the first problem once, and how many there are; the summary leaves it out', () => {
    const messages = [[], ['a: x'], ['a: x', 'b: y']].map((details) => {
      const error = createError('FACELLM_INVALID_ARGUMENT', 'the request is wrong', { details });
      assert.deepEqual([error.summary, error.details], ['the request is wrong', details]);
      return error.message;
    });
    assert.deepEqual(messages, [
      'the request is wrong',
      'the request is wrong: a: x',
      'the request is wrong; the first of 2: a: x',
    ]);
    const named = createError('FACELLM_DATA_INVALID', 'first: a: x', { details: ['a: x', 'b'] });
    assert.equal(named.message, 'first: a: x');
  });

  it('what the addon throws becomes one of ours, with its cause; what a callback threw stays what it is', () => {
    const native = Object.assign(new Error('no room'), {
      code: 'FACELLM_OUT_OF_MEMORY',
      details: ['a', 'b'],
    });
    const error = fromNative(native);
    assert.ok(error instanceof DeviceError);
    assert.deepEqual(error.details, ['a', 'b']);
    assert.equal(error.cause, native);
    const unknown = fromNative({ code: 'FACELLM_NO_SUCH_CODE', message: 'x' });
    assert.ok(unknown instanceof FaceLlmError && unknown.code === 'FACELLM_INTERNAL');
    for (const own of [new RangeError('mine'), 'text', undefined, null, { code: 'ENOENT' }]) {
      assert.equal(fromNative(own), own);
    }
  });
});
