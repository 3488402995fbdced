/**
 * Holds the house to its plan (docs/architecture.md): imports in lib/ follow the arrows, includes in
 * native/ follow theirs, only native/binding knows Node, only lib/binding loads the addon.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** What all rooms of lib may use, as they may use the file `errors`. */
const FOR_ALL = ['options'];

/** Rooms that each room may use besides itself. */
const LIB = {
  options: [],
  files: [],
  jobs: [],
  binding: [],
  image: ['binding'],
  tokenizer: ['binding'],
  checkpoint: ['binding'],
  distributed: ['binding'],
  chat: ['binding', 'image', 'tokenizer'],
  generation: ['binding', 'tokenizer'],
  lora: ['binding', 'checkpoint'],
  data: ['files', 'jobs', 'binding', 'image', 'chat', 'model'],
  model: ['binding', 'image', 'tokenizer', 'checkpoint', 'chat', 'generation', 'lora'],
  training: [
    ...['files', 'jobs', 'binding', 'image', 'tokenizer', 'checkpoint', 'chat', 'lora', 'data'],
    ...['model', 'distributed'],
  ],
  evaluation: [
    ...[
      'files',
      'jobs',
      'binding',
      'image',
      'tokenizer',
      'checkpoint',
      'chat',
      'generation',
      'lora',
    ],
    ...['data', 'model'],
  ],
  cli: [
    ...[
      'binding',
      'image',
      'tokenizer',
      'checkpoint',
      'chat',
      'generation',
      'lora',
      'data',
      'model',
    ],
    ...['training', 'evaluation', 'distributed'],
  ],
};
const NATIVE = {
  core: [],
  kernels: ['core'],
  image: ['core'],
  checkpoint: ['core'],
  distributed: ['core'],
  layers: ['core', 'kernels'],
  model: ['core', 'kernels', 'layers', 'checkpoint'],
  lora: ['core', 'layers', 'checkpoint', 'model'],
  // generation/face_llm.h, training/trainer.h and lora/export_checkpoint.h are the engine's faces.
  generation: ['core', 'kernels', 'layers', 'image', 'checkpoint', 'model', 'lora'],
  training: [
    ...['core', 'kernels', 'layers', 'image', 'checkpoint', 'model', 'lora'],
    'distributed',
  ],
  binding: ['core', 'image', 'model', 'lora', 'generation', 'training', 'distributed'],
};

/** @param {string} folder @param {RegExp} names */
function files(folder, names) {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && names.test(entry.name))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}

/** @type {string[]} */
const problems = [];

/**
 * @param {string} folder
 * @param {RegExp} names
 * @param {Record<string, readonly string[]>} arrows
 * @param {(file: string, text: string) => string[]} targetsOf rooms that a file reaches for
 */
function check(folder, names, arrows, targetsOf) {
  for (const file of files(folder, names)) {
    const place = relative(join(ROOT, folder), file).split(sep);
    const room = place.length > 1 ? place[0] : undefined;
    if (room === undefined) continue;
    const allowed = arrows[room];
    if (allowed === undefined) {
      problems.push(`${folder}/${room} is not in the plan`);
      continue;
    }
    for (const target of targetsOf(file, readFileSync(file, 'utf8'))) {
      if (target !== room && !allowed.includes(target) && !FOR_ALL.includes(target)) {
        problems.push(
          `${relative(ROOT, file)} reaches for ${target}; ${room} may use ${allowed.join(', ') || 'nothing'}`,
        );
      }
    }
  }
}

check('lib', /\.ts$/, LIB, (file, text) =>
  [...text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].flatMap(([, path]) => {
    const target = relative(join(ROOT, 'lib'), join(dirname(file), path ?? '')).split(sep);
    return target.length > 1 && target[0] !== '..' ? [target[0] ?? ''] : [];
  }),
);
check('native', /\.(h|cpp|cu|cuh)$/, NATIVE, (_, text) =>
  [...text.matchAll(/#include "([a-z_]+)\//g)].map(([, room]) => room ?? ''),
);
for (const file of files('native', /\.(h|cpp|cu|cuh)$/)) {
  const knowsNode = /#include <(napi|node_api|uv|v8)\.h>/.test(readFileSync(file, 'utf8'));
  if (knowsNode && !relative(ROOT, file).startsWith(join('native', 'binding'))) {
    problems.push(`${relative(ROOT, file)} includes Node's headers; only native/binding may`);
  }
}
for (const file of files('lib', /\.ts$/)) {
  const loads = /createRequire|process\.dlopen/.test(readFileSync(file, 'utf8'));
  if (loads && relative(ROOT, file) !== join('lib', 'binding', 'load.ts')) {
    problems.push(`${relative(ROOT, file)} loads native code; only lib/binding/load.ts may`);
  }
}
for (const problem of problems) process.stderr.write(`${problem}\n`);
if (problems.length > 0) process.exitCode = 1;
