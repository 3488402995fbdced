/**
 * `npm run soak:serve -- [--parts leave,stall,flood,end,fuzz,schemas,memory] [--share 1] [--out FILE]`: what a server of the tiny checkpoint must
 * stand, in the numbers of docs/serving.md: clients that leave, connections that stall, a flood, ends under load, changed
 * bodies, random schemas, a day's requests. Not part of the tests: it takes half an hour. `--share`: of those numbers. Exit code 1
 * where something does not hold. What is drawn comes from a seeded generator. Needs what `npm run build` makes.
 */
import { existsSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { readLoad, writeReport } from '../harness/environment.js';
import { end } from './end.js';
import { flood } from './flood.js';
import { fuzz } from './fuzz.js';
import { leave } from './leave.js';
import { memory } from './memory.js';
import type { Part } from './part.js';
import { schemas } from './schemas.js';
import { stall } from './stall.js';

const PARTS: Readonly<Record<string, Part>> = { leave, stall, flood, end, fuzz, schemas, memory };
/** Failures of a part that are told. */
const MOST_TOLD = 20;

const { values } = parseArgs({
  options: {
    parts: { type: 'string', default: Object.keys(PARTS).join(',') },
    share: { type: 'string', default: '1' },
    out: { type: 'string' },
  },
});

type Results = Record<string, unknown>;
/** Parts that another run has written there stay. */
const results: Results =
  values.out !== undefined && existsSync(values.out)
    ? (JSON.parse(readFileSync(values.out, 'utf8')) as { results: Results }).results
    : {};
for (const name of values.parts.split(',')) {
  const part = PARTS[name];
  if (part === undefined) throw new Error(`--parts: ${Object.keys(PARTS).join(', ')}`);
  const failures: string[] = [];
  let failed = 0;
  const before = readLoad();
  const figures = await part.run(
    Math.max(1, Math.round(part.count * Number(values.share))),
    (holds, otherwise) => {
      if (holds) return;
      failed++;
      if (failures.length < MOST_TOLD) failures.push(otherwise);
    },
  );
  const after = readLoad();
  const stolenShare = (after.stolen - before.stolen) / Math.max(1, after.total - before.total);
  results[name] = { failed, failures, stolenShare, ...figures };
  process.stdout.write(`${name} ${JSON.stringify(results[name])}\n`);
  if (failed > 0) process.exitCode = 1;
}
await writeReport(values, { results });
// Connections that are kept for more requests.
process.exit();
