/** Builds the server's page (web/) into the package: one script, one style sheet, nothing fetched from elsewhere. */
import { copyFileSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

import { build } from 'esbuild';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const OUTPUT = join(ROOT, 'dist', 'serving', 'page');
const MOST_BYTES = 60_000;

mkdirSync(OUTPUT, { recursive: true });
await build({
  entryPoints: { app: join(ROOT, 'web', 'main.tsx'), 'app-style': join(ROOT, 'web', 'style.css') },
  outdir: OUTPUT,
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  jsx: 'automatic',
  jsxImportSource: 'preact',
  legalComments: 'inline',
  logLevel: 'warning',
  tsconfig: join(ROOT, 'web', 'tsconfig.json'),
});
renameSync(join(OUTPUT, 'app-style.css'), join(OUTPUT, 'app.css'));
copyFileSync(join(ROOT, 'web', 'index.html'), join(OUTPUT, 'index.html'));
copyFileSync(join(ROOT, 'docs', 'fairness.md'), join(OUTPUT, 'fairness.txt'));

const bytes = ['index.html', 'app.js', 'app.css'].reduce(
  (sum, name) => sum + gzipSync(readFileSync(join(OUTPUT, name)), { level: 9 }).length,
  0,
);
if (bytes > MOST_BYTES) {
  process.stderr.write(`the page has ${bytes} bytes compressed; at most ${MOST_BYTES} are meant\n`);
  process.exitCode = 1;
}
if (process.argv.includes('--size')) process.stdout.write(`${bytes}\n`);
