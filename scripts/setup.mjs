/**
 * Brings a fresh clone to where tests and the demo can run: packages, addon, TypeScript output. Quick
 * when nothing is missing. Plain JavaScript without packages, since it installs them.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { hasFaceWeights, writeFaceWeights } from './face-weights.mjs';

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * Runs a command of this project with its output shown; ends the process if it fails.
 *
 * @param {string} command
 * @param {readonly string[]} args
 */
export function run(command, args) {
  const result = spawnSync(command, args, { cwd: ROOT, stdio: 'inherit' });
  if (result.error) {
    process.stderr.write(`${command} cannot be run: ${result.error.message}\n`);
    process.exit(1);
  }
  if (result.status !== 0) process.exit(result.status ?? 1);
}

/** @param {string} folder */
function newestIn(folder) {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .reduce(
      (newest, entry) =>
        Math.max(newest, statSync(join(entry.parentPath ?? entry.path, entry.name)).mtimeMs),
      0,
    );
}

/** Ends the process where node_modules is a link: npm would empty the folder that it leads to. */
export function installPackages() {
  const marker = join(ROOT, 'node_modules', '.package-lock.json');
  const lock = join(ROOT, 'package-lock.json');
  if (existsSync(marker) && statSync(marker).mtimeMs >= statSync(lock).mtimeMs) return;
  if (lstatSync(join(ROOT, 'node_modules'), { throwIfNoEntry: false })?.isSymbolicLink()) {
    process.stderr.write(
      'facellm: node_modules is a link, whose packages are not those of package-lock.json; npm ci would empty the folder behind it. Remove the link, or install there\n',
    );
    process.exit(1);
  }
  process.stderr.write('facellm: installing packages (npm ci)\n');
  // Scripts stay off: the addon is built below, by the same code, with its output in view.
  run(process.platform === 'win32' ? 'npm.cmd' : 'npm', [
    'ci',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
  ]);
}

function buildPage() {
  const output = join(ROOT, 'dist', 'serving', 'page', 'app.js');
  if (existsSync(output) && statSync(output).mtimeMs > newestIn(join(ROOT, 'web'))) return;
  process.stderr.write("facellm: building the server's page\n");
  run(process.execPath, [join(ROOT, 'scripts', 'build-page.mjs')]);
}

export function compileTypeScript() {
  const output = join(ROOT, 'dist', 'index.js');
  if (existsSync(output) && statSync(output).mtimeMs > newestIn(join(ROOT, 'lib'))) return;
  process.stderr.write('facellm: compiling TypeScript\n');
  run(process.execPath, [join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', ROOT]);
}

export function setUp() {
  installPackages();
  run(process.execPath, [join(ROOT, 'scripts', 'install', 'build.mjs')]);
  compileTypeScript();
  if (!hasFaceWeights()) writeFaceWeights();
  buildPage();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) setUp();
