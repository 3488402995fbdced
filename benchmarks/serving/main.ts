/**
 * `npm run bench:serve -- [--model DIR] [--rates 1,2,4] [--seconds 20] [--tokens 32] [--limit 2000] [--rows TEXT] [--serve FLAGS] [--out
 * FILE]`: a server in a process of its own, and for each row and rate an open loop of requests. `--limit`: milliseconds to the first text
 * that count as good. `--serve`: flags of `facellm serve`, as one text.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import sharp from 'sharp';

import { writeAdapter } from '../../test/support/adapters.js';
import { describeEnvironment, readLoad, reportArguments } from '../harness/environment.js';
import { run, summarize } from './open-loop.js';
import { ask, type Pictures, rowsOf } from './questions.js';
import { startFacellm } from './servers.js';

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
/** Made at random: what they answer is of no interest, how long it takes is. */
const STACKS = 8;
const root = mkdtempSync(join(tmpdir(), 'facellm-serve-'));
const names = Array.from({ length: STACKS }, (_, i) => `stack${i}`);
const folders = await Promise.all(
  names.map((name, i) =>
    writeAdapter(values.model, join(root, name), { seed: i + 1, b: 0.01, rank: 8, alpha: 16 }),
  ),
);
const rows = rowsOf(await readPictures(), Number(values.tokens), names);
const flags = values.serve.split(/\s+/).filter((flag) => flag !== '');
const server = await startFacellm(values.model, [...flags, '--adapter', ...folders]);
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
  rmSync(root, { recursive: true });
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
