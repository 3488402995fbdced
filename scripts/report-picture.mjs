/**
 * The README's picture: the head of a demo report as a browser shows it, docs/pictures/demo-report.webp.
 * `node scripts/report-picture.mjs REPORT.html`; needs chromium.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import sharp from 'sharp';

const WIDTH = 1180;
/** Down to the end of the five faces. */
const HEIGHT = 1560;
const MOST_BYTES = 300_000;

const [report] = process.argv.slice(2);
if (report === undefined) {
  process.stderr.write('usage: node scripts/report-picture.mjs REPORT.html\n');
  process.exit(2);
}
const picture = join(
  dirname(dirname(fileURLToPath(import.meta.url))),
  ...['docs', 'pictures', 'demo-report.webp'],
);
const folder = mkdtempSync(join(tmpdir(), 'facellm-picture-'));
try {
  const shot = join(folder, 'shot.png');
  const run = spawnSync('chromium', [
    ...['--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars'],
    ...[`--window-size=${WIDTH},${HEIGHT}`, '--blink-settings=preferredColorScheme=1'],
    ...[`--screenshot=${shot}`, pathToFileURL(resolve(report)).href],
  ]);
  if (run.error || run.status !== 0) {
    process.stderr.write(`chromium failed: ${run.error?.message ?? run.stderr}\n`);
    process.exit(1);
  }
  mkdirSync(dirname(picture), { recursive: true });
  const { size } = await sharp(shot).webp({ quality: 82 }).toFile(picture);
  process.stdout.write(`${picture}: ${size} bytes\n`);
  if (size > MOST_BYTES) process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true });
}
