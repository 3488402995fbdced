/** What is measured: the card's roofs, which attention runs, and the benchmark rows of models, each line kept when it comes. */
import { existsSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';

import { must, Skip } from './part.mjs';

/** Begins a line that is a row (benchmarks/gpu/row.ts). */
const MARK = 'ROW ';

/** @param {import('./part.mjs').Context} context @param {string} name @returns {string[]} */
export function python({ root, findings }, name) {
  const { machine } = findings;
  if (!machine?.packages['torch']) throw new Skip(`${machine?.python ?? 'python3'} has no torch`);
  return [machine.python, join(root, 'benchmarks', 'gpu', name)];
}

/** Python's torch knows no pretend card. @param {import('./report.mjs').Findings} findings */
const pythonDevice = ({ isDryRun }) => (isDryRun ? 'cpu' : 'cuda');

/** Each JSON object that a script of Python prints. @param {(object: any) => void} take */
export const objects = (take) => (/** @type {string} */ line) => {
  if (line.startsWith('{')) take(JSON.parse(line));
};

/** @type {import('./part.mjs').Part['run']} */
export async function roofs(context, limitS) {
  const { findings, save } = context;
  await must(context, [...python(context, 'roofs.py'), pythonDevice(findings)], limitS, {
    onLine: objects((found) => {
      findings.roofs = found;
      save();
    }),
  });
  return [];
}

/** @type {import('./part.mjs').Part['run']} */
export async function attention(context, limitS) {
  const { findings } = context;
  await must(context, [...python(context, 'attention.py'), pythonDevice(findings)], limitS, {
    onLine: objects((found) => findings.attention.push(found)),
  });
  const count = (/** @type {string} */ choice) =>
    findings.attention.filter((one) => one['choice'] === choice).length;
  return [...new Set(findings.attention.map((one) => String(one['choice'])))].map(
    (choice) => `${choice} ${count(choice)}`,
  );
}

/** Gigabytes of a checkpoint in bf16, with room to spare. */
const GIGABYTES = /** @type {Record<string, number>} */ ({ '1b': 2, '8b': 17, tiny: 0.1 });

/** @param {string} folder */
function freeBytes(folder) {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

/**
 * A random checkpoint, made once; where memory holds it, there, so that no disk stands between.
 *
 * @param {import('./part.mjs').Context} context @param {string} size @param {number} limitS
 */
async function model(context, size, limitS) {
  const { root, models, findings } = context;
  const golden = join(root, 'golden', 'ckpt-300m');
  if (findings.isDryRun && !findings.machine?.packages['torch']) return golden;
  const needed = (GIGABYTES[size] ?? 1) * 1e9;
  const shared = '/dev/shm';
  const inMemory = existsSync(shared) && freeBytes(shared) > 2 * needed ? shared : undefined;
  const folder = join(inMemory ? join(inMemory, 'facellm-gpu-proof') : models, size);
  if (existsSync(join(folder, 'model.safetensors'))) return folder;
  if (!inMemory && freeBytes(models) < needed) throw new Skip(`no room for ${needed / 1e9} GB`);
  await must(
    context,
    [...python(context, 'random_checkpoint.py'), golden, folder, size, pythonDevice(findings)],
    limitS,
  );
  return folder;
}

/** @param {import('./part.mjs').Context} context */
export function removeModels({ models }) {
  rmSync('/dev/shm/facellm-gpu-proof', { recursive: true, force: true });
  rmSync(models, { recursive: true, force: true });
}

/** @param {import('./part.mjs').Context} context @param {string} script @param {object} job @param {number} limitS */
async function measure(context, script, job, limitS) {
  const { root, findings, save } = context;
  let count = 0;
  const own = [
    process.execPath,
    '--import=./test/support/tsx.mjs',
    join(root, 'benchmarks', 'gpu', script),
  ];
  await must(context, [...own, JSON.stringify(job)], limitS, {
    onLine: (line) => {
      if (!line.startsWith(MARK)) return;
      findings.rows.push(JSON.parse(line.slice(MARK.length)));
      count++;
      save();
    },
  });
  return count;
}

/** @param {import('./part.mjs').Context} context @param {readonly string[]} needed */
function baselineOf({ findings }, needed) {
  const { python = '', packages = {} } = findings.machine ?? {};
  const missing = needed.filter((name) => !(name in packages));
  return missing.length === 0
    ? { python, notes: [] }
    : { python: '', notes: [`no baseline: Python has no ${missing.join(' and no ')}`] };
}

/** Without a card one size stands for all. @param {import('./part.mjs').Context} context @param {string} size */
function standIn({ findings }, size) {
  if (!findings.isDryRun) return size;
  if (size !== '1b') throw new Skip('a dry run takes the same steps for the 1B');
  return 'tiny';
}

/** @param {string} size @returns {import('./part.mjs').Part['run']} */
export const answers = (size) => async (context, limitS) => {
  const { device, isDryRun, machine } = context.findings;
  const end = performance.now() + 1000 * limitS;
  const directory = await model(context, standIn(context, size), limitS);
  const { python: own, notes } = baselineOf(context, ['torch', 'transformers']);
  const job = {
    ...{
      title: size,
      directory,
      device,
      python: own,
      baselineDevice: pythonDevice(context.findings),
    },
    ...{ threads: isDryRun ? 2 : (machine?.cores ?? 2), secondsARow: isDryRun ? 0.1 : 2 },
    ...(isDryRun ? { steps: 4, batches: [1, 2, 3] } : { steps: 64, batches: [1, 8, 64] }),
  };
  const rows = await measure(context, 'answers.ts', job, (end - performance.now()) / 1000);
  return [`${rows} rows`, ...notes];
};

/** Decode alone, of weights in 8 and 4 bits. @param {string} size @returns {import('./part.mjs').Part['run']} */
export const forms = (size) => async (context, limitS) => {
  const { device, isDryRun, machine } = context.findings;
  const end = performance.now() + 1000 * limitS;
  const directory = await model(context, standIn(context, size), limitS);
  const job = {
    ...{ title: size, directory, device, python: '', baselineDevice: 'cpu' },
    ...{ threads: isDryRun ? 2 : (machine?.cores ?? 2), secondsARow: isDryRun ? 0.1 : 1 },
    ...(isDryRun ? { steps: 4, batches: [1, 2, 3] } : { steps: 64, batches: [1, 8, 64] }),
    forms: ['int8', 'int4'],
  };
  const rows = await measure(context, 'answers.ts', job, (end - performance.now()) / 1000);
  return [`${rows} rows`];
};

/** @param {string} size @param {{ batch: number, rows: number }} settings @returns {import('./part.mjs').Part['run']} */
export const lora = (size, settings) => async (context, limitS) => {
  const { device, isDryRun, machine } = context.findings;
  const end = performance.now() + 1000 * limitS;
  const directory = await model(context, standIn(context, size), limitS);
  const { python: own, notes } = baselineOf(context, ['torch', 'transformers', 'peft']);
  const job = {
    ...{
      title: size,
      directory,
      device,
      python: own,
      baselineDevice: pythonDevice(context.findings),
      ...settings,
      pairs: 5,
    },
    ...{
      threads: isDryRun ? 2 : (machine?.cores ?? 2),
      ...(isDryRun && { pairs: 1, batch: 1, rows: 1 }),
    },
  };
  const rows = await measure(context, 'lora.ts', job, (end - performance.now()) / 1000);
  return [`${rows} rows`, ...notes];
};
