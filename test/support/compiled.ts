/**
 * The library as plain JavaScript, for tests that start many processes: each would otherwise compile
 * TypeScript for seconds. Types are stripped file by file; nothing is checked here.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

import ts from 'typescript';

const ROOT = join(import.meta.dirname, '..', '..');

export interface Compiled {
  /** Holds what lib/ holds, as .js. Lies under node_modules, so that packages resolve. */
  readonly folder: string;
  remove(): void;
}

export function compileLibrary(): Compiled {
  const cache = join(ROOT, 'node_modules', '.cache');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'facellm-test-'));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}\n');
  const lib = join(ROOT, 'lib');
  for (const entry of readdirSync(lib, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.ts')) continue;
    const source = join(entry.parentPath, entry.name);
    const target = join(folder, relative(lib, source).replace(/\.ts$/, '.js'));
    mkdirSync(dirname(target), { recursive: true });
    const { outputText } = ts.transpileModule(readFileSync(source, 'utf8'), {
      compilerOptions: {
        module: ts.ModuleKind.ESNext,
        target: ts.ScriptTarget.ES2023,
        verbatimModuleSyntax: true,
      },
    });
    writeFileSync(target, outputText);
  }
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
