/** What comments and pages name is there: files of this repository, and sections of docs/internvl3.md. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { sourceFiles } from '../support/error-uses.js';

const ROOT = join(import.meta.dirname, '..', '..');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

const SOURCES = ['lib', 'native', 'test', 'scripts', 'benchmarks', 'examples'].flatMap((folder) =>
  sourceFiles(ROOT, folder, /\.(ts|h|cpp|cu|cuh|[cm]js|py|sh)$/),
);
/** Decision records tell of what was; a changelog too. */
const PAGES = [
  ...sourceFiles(ROOT, 'docs', /\.md$/).filter((path) => !path.includes('/decisions/')),
  ...['README.md', 'CONTRIBUTING.md'],
];

/** Reports that an evaluation writes. */
const WRITTEN: readonly string[] = ['facexbench.md', 'attributes.md', 'pairs.md'];

/** Comments, one behind another, their marks and line ends taken out. */
function comments(path: string): string {
  const text = read(path);
  const marks = /\.(py|sh)$/.test(path) ? /^\s*#(.*)$/gm : /^\s*(?:\/\/|\/\*\*?|\*)(.*)$/gm;
  return [...text.matchAll(marks)].map(([, line = '']) => line.replace('*/', '').trim()).join(' ');
}

const SECTIONS: ReadonlySet<string> = new Set(
  [...read('docs/internvl3.md').matchAll(/^###? (\d+(?:\.\d+)?)\.? /gm)].map(([, n]) => n ?? ''),
);

/** Paths in a text that begin with a folder of this repository. */
function paths(text: string): string[] {
  const path =
    /(?<![\w./-])(?:\.ci|lib|native|test|scripts|benchmarks|examples|docs|cmake|golden)\/[\w./-]*\w/g;
  return [...text.matchAll(path)].map(([name]) => name);
}

/** As it stands, or a source without its ending (`model/name_map`), or a folder of a build. */
const isThere = (path: string): boolean =>
  existsSync(join(ROOT, path)) ||
  ['.ts', '.h', '.mjs', '.test.ts'].some((ending) => existsSync(join(ROOT, path + ending)));

describe('contract: what is cited exists', () => {
  it('files of this repository that comments name', () => {
    assert.ok(SOURCES.length > 300);
    const missing = SOURCES.flatMap((source) =>
      paths(comments(source))
        .filter((path) => !isThere(path))
        .map((path) => `${source}: ${path}`),
    );
    assert.deepEqual(missing, []);
  });

  it('Markdown pages that comments name: in docs or at the top', () => {
    const missing = SOURCES.flatMap((source) =>
      [...comments(source).matchAll(/(?<![\w/.<-])([\w-]+\.md)\b/g)]
        .map(([, page = '']) => page)
        .filter((page) => !WRITTEN.includes(page))
        .filter((page) => ![page, `docs/${page}`].some((at) => existsSync(join(ROOT, at))))
        .map((page) => `${source}: ${page}`),
    );
    assert.deepEqual(missing, []);
  });

  it('sections of docs/internvl3.md, which no comment calls by another name', () => {
    assert.ok(SECTIONS.size > 20);
    let count = 0;
    const missing = SOURCES.flatMap((source) => {
      const text = comments(source);
      const cited = [...text.matchAll(/internvl3\.md, sections? ([\d., and]*\d)/g)];
      count += cited.length;
      return cited
        .flatMap(([, numbers = '']) => numbers.split(/, | and /))
        .filter((number) => !SECTIONS.has(number))
        .map((number) => `${source}: section ${number}`)
        .concat(/\bspec,? (sections?\b|\w+\.md)/i.test(text) ? [`${source}: a 'spec'`] : []);
    });
    assert.ok(count > 40, `${count} citations were read`);
    assert.deepEqual(missing, []);
  });

  it('links and paths of the pages', () => {
    const missing = PAGES.flatMap((page) => {
      const text = read(page);
      const links = [...text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)].map(([, to = '']) =>
        join(dirname(page), to),
      );
      const named = [...text.matchAll(/`([^`\s]+)`/g)].flatMap(([, code = '']) => paths(code));
      return [
        ...links.filter((to) => !existsSync(join(ROOT, to))),
        ...named.filter((to) => !isThere(to)),
      ].map((to) => `${page}: ${to}`);
    });
    assert.deepEqual(missing, []);
  });
});
