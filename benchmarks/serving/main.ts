/**
 * `npm run bench:serve -- [--model DIR] [--rates 1,2,4] [--seconds 20] [--tokens 32] [--limit 2000] [--rows TEXT] [--serve FLAGS] [--out
 * FILE]`: a server in a process of its own, and for each row and rate an open loop of requests. `--limit`: milliseconds to the first text
 * that count as good. `--serve`: flags of `facellm serve`, as one text.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import sharp from 'sharp';

import { describeEnvironment, readLoad, reportArguments } from '../harness/environment.js';
import { run, summarize } from './open-loop.js';
import { ask, type Pictures, rowsOf } from './questions.js';

const ROOT = join(import.meta.dirname, '..', '..');
const GOLDEN = join(ROOT, 'golden');
const FACES = join(ROOT, 'examples', 'faces', 'congress');

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: join(GOLDEN, 'ckpt-300m') },
    rates: { type: 'string', default: '10,20,40' },
    seconds: { type: 'string', default: '10' },
    tokens: { type: 'string', default: '16' },
    limit: { type: 'string', default: '2000' },
    rows: { type: 'string', default: '' },
    serve: { type: 'string', default: '' },
    out: { type: 'string' },
  },
});

async function startServer(): Promise<{ url: string; stop: () => Promise<void> }> {
  const flags = values.serve.split(/\s+/).filter((flag) => flag !== '');
  const child = spawn(
    process.execPath,
    [
      join(ROOT, 'dist', 'cli', 'main.js'),
      'serve',
      '--model',
      values.model,
      '--port',
      '0',
      ...flags,
    ],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  );
  const exit = once(child, 'exit');
  const [first] = (await Promise.race([
    once(child.stdout, 'data'),
    exit.then(() => {
      throw new Error('the server ended; run facellm serve with these flags to see why');
    }),
  ])) as [Buffer];
  return {
    url: first.toString().trim(),
    stop: async () => {
      child.kill('SIGTERM');
      await exit;
    },
  };
}

const FEW = 16;

/** The example portraits: small as they are, and one as large as twelve tiles. */
async function readPictures(): Promise<Pictures> {
  const files = readdirSync(FACES)
    .filter((file) => file.endsWith('.jpg'))
    .sort()
    .slice(0, FEW)
    .map((file) => readFileSync(join(FACES, file)));
  const url = (bytes: Buffer): string => `data:image/jpeg;base64,${bytes.toString('base64')}`;
  const large = await sharp(files[0]).resize(1344, 1792).jpeg().toBuffer();
  return { small: files.map(url), large: url(large) };
}

const seconds = Number(values.seconds);
const rows = rowsOf(await readPictures(), Number(values.tokens));
const server = await startServer();
const results: object[] = [];
try {
  for (const [name, questionOf] of Object.entries(rows)) {
    if (!name.includes(values.rows)) continue;
    await ask(server.url, questionOf(0), performance.now());
    for (const rate of values.rates.split(',').map(Number)) {
      const before = readLoad();
      const began = performance.now();
      const attempts = await run({
        ...{ rate, seconds, seed: 1 },
        ask: (index, at) => ask(server.url, questionOf(index + 1), at),
      });
      const took = (performance.now() - began) / 1000;
      const after = readLoad();
      const stolenShare = (after.stolen - before.stolen) / Math.max(1, after.total - before.total);
      const result = {
        ...{ name, request_rate: rate, stolenShare },
        ...summarize(attempts, took, Number(values.limit)),
      };
      results.push(result);
      process.stdout.write(`${JSON.stringify(result)}\n`);
    }
  }
} finally {
  await server.stop();
}
if (values.out !== undefined) {
  const report = {
    ...(await describeEnvironment()),
    arguments: reportArguments(values),
    limitMs: Number(values.limit),
    results,
  };
  writeFileSync(values.out, `${JSON.stringify(report, null, 2)}\n`);
}
