/** Files of lib/ and native/ and what each reaches for. Paths are relative to `lib` or `native`, with `/`. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';

import ts from 'typescript';

/**
 * @typedef {object} Source
 * @property {string} text
 * @property {readonly string[]} targets files of the same tree
 * @property {readonly string[]} outside packages or system headers
 */

/**
 * @param {string} folder @param {RegExp} names @param {(path: string, text: string) => Omit<Source, 'text'>} read
 * @returns {Map<string, Source>}
 */
function sources(folder, names, read) {
  return new Map(
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => names.test(name))
      .sort()
      .map((name) => {
        const path = name.replaceAll('\\', '/');
        const text = readFileSync(join(folder, name), 'utf8');
        return [path, { text, ...read(path, text) }];
      }),
  );
}

/** Imports of every kind: of types only, re-exports and `import()` too. @param {string} root */
export const libSources = (root) =>
  sources(join(root, 'lib'), /\.ts$/, (path, text) => {
    const names = ts.preProcessFile(text, true, true).importedFiles.map((file) => file.fileName);
    const inTree = names.filter((name) => name.startsWith('.'));
    return {
      targets: inTree.map((name) => posix.join(posix.dirname(path), name.replace(/\.js$/, '.ts'))),
      outside: names.filter((name) => !name.startsWith('.')),
    };
  });

/** Includes, those under an `#if` too. `"room/file.h"` is of native/. @param {string} root */
export const nativeSources = (root) =>
  sources(join(root, 'native'), /\.(h|cpp|cu|cuh)$/, (_, text) => {
    const all = [...text.matchAll(/^\s*#\s*include\s*(["<])([^">]+)[">]/gm)];
    return {
      targets: all.filter(([, mark]) => mark === '"').map(([, , name]) => name ?? ''),
      outside: all.filter(([, mark]) => mark === '<').map(([, , name]) => name ?? ''),
    };
  });

/** `file` and all that it reaches, with the way to each. @param {ReadonlyMap<string, Source>} tree @param {string} file */
export function reached(tree, file) {
  /** @type {Map<string, readonly string[]>} */
  const ways = new Map([[file, [file]]]);
  for (const [at, way] of ways) {
    for (const target of tree.get(at)?.targets ?? []) {
      if (!ways.has(target)) ways.set(target, [...way, target]);
    }
  }
  return ways;
}
