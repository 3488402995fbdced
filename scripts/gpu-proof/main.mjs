/**
 * `npm run gpu-proof -- [--minutes 8] [--out DIR] [--parts NAME,...] [--dry-run]`, and `./gpu-proof` of the archive that `npm run bundle` makes: what
 * a few minutes on a real GPU are for. Builds for its card, runs the suites there, then measures, most wanted first, until
 * its time is up. After each part and each row DIR (or $OUT, or gpu-proof-results) has gpu-proof.json, a page of it and
 * gpu-proof.log: a run that is killed leaves what it found. `--dry-run` goes through the same steps without a GPU (docs/gpu.md).
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { Budget } from './budget.mjs';
import { build, doctor } from './build.mjs';
import { answers, attention, forms, lora, removeModels, roofs } from './figures.mjs';
import { kernelRows } from './kernel-rows.mjs';
import { describeMachine } from './machine.mjs';
import { runPart } from './part.mjs';
import { toMarkdown } from './report.mjs';
import { endAll } from './run-command.mjs';
import { kernels, native, typeScript } from './suites.mjs';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
/** What the parts' limits and reserves are given for. */
const USUAL_MINUTES = 8;
/** No card, perhaps a busy machine: a limit is there to end what hangs. */
const DRY_MINUTES = 60;

/** @type {readonly import('./part.mjs').Part[]} */
const PARTS = [
  { name: 'machine', title: 'the machine', limitS: 60, reserveS: 5, run: lookAround },
  { name: 'build', title: 'build', limitS: 180, reserveS: 90, run: build },
  { name: 'doctor', title: 'doctor', limitS: 30, reserveS: 10, run: doctor },
  {
    name: 'kernels',
    title: 'kernels under compute-sanitizer',
    limitS: 120,
    reserveS: 25,
    run: kernels,
  },
  { name: 'native', title: 'GoogleTest', limitS: 100, reserveS: 20, run: native },
  {
    name: 'suites',
    title: 'golden, property and training suites',
    limitS: 100,
    reserveS: 40,
    run: typeScript,
  },
  { name: 'attention', title: 'attention kernels', limitS: 30, reserveS: 10, run: attention },
  { name: 'roofs', title: 'roofs', limitS: 30, reserveS: 15, run: roofs },
  { name: 'kernel-rows', title: 'single kernels', limitS: 90, reserveS: 20, run: kernelRows },
  { name: 'answers-1b', title: '1B: answers', limitS: 75, reserveS: 35, run: answers('1b') },
  {
    name: 'lora-1b',
    title: '1B: LoRA',
    limitS: 60,
    reserveS: 25,
    run: lora('1b', { batch: 8, rows: 3 }),
  },
  { name: 'answers-8b', title: '8B: answers', limitS: 120, reserveS: 55, run: answers('8b') },
  {
    name: 'lora-8b',
    title: '8B: LoRA',
    limitS: 90,
    reserveS: 40,
    run: lora('8b', { batch: 8, rows: 1 }),
  },
  { name: 'forms-8b', title: '8B: 8 and 4 bits', limitS: 75, reserveS: 25, run: forms('8b') },
  { name: 'forms-1b', title: '1B: 8 and 4 bits', limitS: 40, reserveS: 15, run: forms('1b') },
];

const { values } = parseArgs({
  options: {
    minutes: { type: 'string' },
    out: { type: 'string', default: process.env.OUT ?? 'gpu-proof-results' },
    parts: { type: 'string' },
    'dry-run': { type: 'boolean', default: false },
  },
});
const minutes = Number(values.minutes ?? (values['dry-run'] ? DRY_MINUTES : USUAL_MINUTES));
if (!(minutes > 0)) {
  process.stderr.write(`--minutes: expected a number above 0, got ${values.minutes}\n`);
  process.exit(2);
}
const out = resolve(values.out);
const named = values.parts?.split(',');
const unknown = named?.filter((name) => PARTS.every((part) => part.name !== name)) ?? [];
if (unknown.length > 0) {
  const names = PARTS.map((part) => part.name).join(', ');
  process.stderr.write(`--parts: expected some of ${names}, got ${unknown.join(', ')}\n`);
  process.exit(2);
}
// The machine is looked at in any case: what the others do depends on it.
const parts = PARTS.filter(({ name }) => name === 'machine' || (named?.includes(name) ?? true));
mkdirSync(out, { recursive: true });
const log = join(out, 'gpu-proof.log');
writeFileSync(log, '');

/** The commit that the archive names, or git's. */
function commit() {
  const named = join(ROOT, 'COMMIT');
  if (existsSync(named)) return readFileSync(named, 'utf8').trim();
  const run = spawnSync('git', ['describe', '--always', '--dirty'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  return run.status === 0 ? run.stdout.trim() : 'unknown commit';
}

/** @type {import('./report.mjs').Findings} */
const findings = {
  ...{ isDryRun: values['dry-run'], device: values['dry-run'] ? 'cpu' : 'cuda' },
  ...{ commit: commit(), startedAt: new Date().toISOString(), machine: undefined },
  ...{ parts: [], attention: [], roofs: undefined, rows: [] },
};
function save() {
  writeFileSync(join(out, 'gpu-proof.json'), `${JSON.stringify(findings, null, 2)}\n`);
  writeFileSync(join(out, 'gpu-proof.md'), toMarkdown(findings));
}

const context = {
  ...{ root: ROOT, log, findings, save, models: mkdtempSync(join(tmpdir(), 'facellm-gpu-proof-')) },
  env: {
    ...process.env,
    PATH: `${dirname(process.execPath)}:/usr/local/cuda/bin:${process.env.PATH ?? ''}`,
    FACELLM_OFFLINE: '1',
    FACELLM_ADDON: join(ROOT, 'build', 'Release', 'facellm.node'),
  },
};

/** @type {import('./part.mjs').Part['run']} */
async function lookAround() {
  findings.machine = describeMachine(context.env);
  const { card, packages, sanitizer } = findings.machine;
  if (!card && !findings.isDryRun) throw new Error('nvidia-smi shows no card; try --dry-run');
  return [
    card ? card.name : 'no card',
    ...Object.entries(packages).map(([name, version]) => `${name} ${version}`),
    ...(sanitizer === '' ? ['no compute-sanitizer'] : []),
  ];
}

// Whoever reads along may have read enough: what is found is in files.
process.stdout.on('error', () => {});
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) {
  process.on(signal, () => {
    endAll();
    save();
    removeModels(context);
    process.exit(1);
  });
}
const scale = minutes / USUAL_MINUTES;
const shares = parts.map(({ name, limitS, reserveS }) => ({
  ...{
    name,
    limitS: name === 'build' ? limitS * Math.max(1, scale) : limitS * scale,
    reserveS: reserveS * scale,
  },
}));
const budget = new Budget(60 * minutes, shares);
for (const part of parts) {
  const limitS = budget.limitOf(part.name);
  const result = await runPart(part, context, limitS);
  findings.parts.push(result);
  save();
  const { title, status, why, seconds, notes } = result;
  const details = [why, ...notes].filter((text) => text !== '').join('; ');
  process.stdout.write(`${status.padEnd(8)} ${title} (${seconds.toFixed(0)} s) ${details}\n`);
}
removeModels(context);
process.stdout.write(`${toMarkdown(findings)}\nin ${out}\n`);
process.exitCode = findings.parts.some(({ status }) => status === 'failed') ? 1 : 0;
