/**
 * The packed package as a TypeScript user has it: a file that names everything public, compiled against the
 * declarations with nothing left unchecked, by the oldest TypeScript that is supported, the repository's own
 * and the newest. Only the run-time dependencies lie beside the package, so declarations that need anything
 * else are found out.
 *
 *     node scripts/check-types.mjs
 *
 * Needs what `npm run build` makes, and the npm registry for the oldest and the newest.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import ts from 'typescript';

/** As the README says. Older ones know no `NoInfer`, which zod's declarations use. */
const OLDEST = '5.4';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const COMPILER_OPTIONS = {
  module: 'NodeNext',
  moduleResolution: 'NodeNext',
  target: 'ES2022',
  types: ['node'],
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  skipLibCheck: false,
  noEmit: true,
};

/** Unpacks what `npm pack` makes into `folder`/node_modules, beside links to its dependencies. @param {string} folder */
function install(folder) {
  const packed = ['pack', '--ignore-scripts', '--json', '--pack-destination', folder];
  const parsed = JSON.parse(execFileSync('npm', packed, { cwd: ROOT, encoding: 'utf8' }));
  // npm 11 prints a list, later versions an object by package name.
  const [{ filename }] = Array.isArray(parsed) ? parsed : Object.values(parsed);
  const target = join(folder, 'node_modules', 'facellm');
  mkdirSync(target, { recursive: true });
  execFileSync('tar', ['xzf', join(folder, filename), '-C', target, '--strip-components', '1']);
  const { dependencies } = JSON.parse(readFileSync(join(target, 'package.json'), 'utf8'));
  for (const name of [...Object.keys(dependencies), '@types/node']) {
    const link = join(folder, 'node_modules', name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules', name), link);
  }
  return join(target, 'dist', 'index.d.ts');
}

/** Every name that the package exports, `type` before those that are types only. @param {string} index */
function publicNames(index) {
  const source = ts.createSourceFile(index, readFileSync(index, 'utf8'), ts.ScriptTarget.ES2022);
  return source.statements.flatMap((statement) => {
    if (!ts.isExportDeclaration(statement)) return [];
    const clause = statement.exportClause;
    if (clause === undefined || !ts.isNamedExports(clause)) {
      throw new Error('index.d.ts exports what it does not name');
    }
    return clause.elements.map((element) =>
      statement.isTypeOnly || element.isTypeOnly ? `type ${element.name.text}` : element.name.text,
    );
  });
}

/** Compilers by what they are to us. @param {string} folder */
function compilers(folder) {
  const own = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  const wanted = [`oldest@npm:typescript@${OLDEST}`, 'newest@npm:typescript@latest'];
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), '{"private":true}');
  const quick = ['--fetch-retry-mintimeout=1000', '--fetch-retry-maxtimeout=5000'];
  const fetched = spawnSync(
    'npm',
    ['install', '--no-audit', '--no-fund', '--ignore-scripts', ...quick, ...wanted],
    { cwd: folder, encoding: 'utf8', timeout: 300_000 },
  );
  if (fetched.status !== 0) {
    const why = fetched.stderr.trim().split('\n')[0] ?? '';
    process.stdout.write(
      `skipped: types of the package by TypeScript ${OLDEST} and the newest, which cannot be fetched (${why})\n`,
    );
    return { own };
  }
  const at = (/** @type {string} */ name) => join(folder, 'node_modules', name, 'bin', 'tsc');
  return { oldest: at('oldest'), own, newest: at('newest') };
}

const folder = mkdtempSync(join(tmpdir(), 'facellm-types-'));
try {
  const names = publicNames(install(folder));
  writeFileSync(join(folder, 'package.json'), '{"type":"module","private":true}');
  writeFileSync(join(folder, 'user.ts'), `export { ${names.join(', ')} } from 'facellm';\n`);
  const config = { compilerOptions: COMPILER_OPTIONS, files: ['user.ts'] };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
  for (const [name, compiler] of Object.entries(compilers(join(folder, 'compilers')))) {
    const run = (/** @type {string[]} */ ...args) =>
      spawnSync(process.execPath, [compiler, ...args], { cwd: folder, encoding: 'utf8' });
    const version = run('--version').stdout.trim();
    const result = run('-p', '.');
    process.stdout.write(`${name} (${version}): ${names.length} names\n${result.stdout}`);
    if (result.status !== 0) process.exitCode = 1;
  }
  const promise = `TypeScript ${OLDEST} or later`;
  if (!readFileSync(join(ROOT, 'README.md'), 'utf8').includes(promise)) {
    process.stdout.write(`README.md should say '${promise}'\n`);
    process.exitCode = 1;
  }
} finally {
  rmSync(folder, { recursive: true });
}
