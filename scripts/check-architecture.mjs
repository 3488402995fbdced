/**
 * Holds the house to its plan (docs/architecture.md): imports in lib/ follow the arrows, includes in
 * native/ follow theirs, no files go round in a circle, torch-free headers stay so, only native/binding
 * knows Node, only lib/binding loads the addon.
 *
 *     node scripts/check-architecture.mjs
 */
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

import { libSources, nativeSources } from './architecture/files.mjs';
import * as rules from './architecture/rules.mjs';

/** What all rooms of lib may use, as they may use the file `errors`. */
const FOR_ALL = ['files', 'options', 'packages', 'progress'];

/** Rooms that each room may use besides itself. */
const LIB = {
  options: [],
  packages: [],
  progress: [],
  files: [],
  jobs: [],
  binding: [],
  image: ['binding'],
  tokenizer: ['binding'],
  checkpoint: ['binding'],
  distributed: ['binding'],
  download: ['jobs', 'checkpoint'],
  faces: ['binding', 'image'],
  sheet: ['image', 'faces'],
  card: [],
  chat: ['binding', 'image', 'tokenizer'],
  structured: [],
  generation: ['jobs', 'binding', 'faces', 'tokenizer', 'structured'],
  calibration: ['generation'],
  lora: ['binding', 'checkpoint'],
  data: [...['files', 'jobs', 'binding', 'image', 'faces', 'chat', 'model', 'sheet', 'card']],
  model: [
    ...['binding', 'image', 'faces', 'tokenizer', 'checkpoint', 'chat', 'generation', 'lora'],
    ...['download', 'structured', 'calibration', 'card'],
  ],
  training: [
    ...['files', 'jobs', 'binding', 'image', 'faces', 'tokenizer', 'checkpoint', 'chat', 'lora'],
    ...['data', 'model', 'distributed', 'card'],
  ],
  evaluation: [
    ...[
      'files',
      'jobs',
      'binding',
      'image',
      'faces',
      'tokenizer',
      'checkpoint',
      'chat',
      'generation',
      'lora',
    ],
    ...['data', 'calibration', 'model', 'sheet', 'card'],
  ],
  annotate: [
    ...['jobs', 'image', 'faces', 'structured', 'generation', 'calibration', 'model', 'data'],
    ...['evaluation', 'sheet'],
  ],
  serving: [
    ...[
      'jobs',
      'binding',
      'image',
      'faces',
      'tokenizer',
      'chat',
      'structured',
      'generation',
      'calibration',
      'model',
    ],
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
    ...[
      'training',
      'evaluation',
      'distributed',
      'download',
      'serving',
      'faces',
      'jobs',
      'annotate',
      'calibration',
    ],
  ],
};
const NATIVE = {
  core: [],
  kernels: ['core'],
  image: ['core'],
  checkpoint: ['core'],
  faces: ['core', 'image', 'checkpoint'],
  distributed: ['core'],
  layers: ['core', 'kernels'],
  model: ['core', 'kernels', 'layers', 'checkpoint'],
  lora: ['core', 'kernels', 'layers', 'checkpoint', 'model'],
  // generation/face_llm.h, training/trainer.h and lora/export_checkpoint.h are the engine's faces.
  scheduling: ['core'],
  generation: ['core', 'kernels', 'layers', 'image', 'checkpoint', 'model', 'lora', 'scheduling'],
  training: [
    ...['core', 'kernels', 'layers', 'image', 'checkpoint', 'model', 'lora'],
    'distributed',
  ],
  binding: ['core', 'image', 'faces', 'model', 'lora', 'generation', 'training', 'distributed'],
};

/** Torch-free because something outside the engine includes them; others say so in their first comment. */
const TORCH_FREE = [
  'generation/face_llm.h',
  'training/trainer.h',
  'distributed/process_group.h',
  'lora/export_checkpoint.h',
];

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const lib = libSources(root);
const native = nativeSources(root);
const planOfLib = Object.fromEntries(
  Object.entries(LIB).map(([room, others]) => [
    room,
    FOR_ALL.includes(room) ? others : [...others, ...FOR_ALL],
  ]),
);
const problems = [
  ...rules.wrongArrows(lib, 'lib', planOfLib),
  ...rules.wrongArrows(native, 'native', NATIVE),
  ...rules.fileCircles(lib, 'lib'),
  ...rules.fileCircles(native, 'native'),
  ...rules.torchInTorchFree(native, TORCH_FREE),
  ...rules.nodeOutsideBinding(native),
  ...rules.loadersOfNativeCode(lib),
];
for (const problem of problems) process.stderr.write(`${problem}\n`);
if (problems.length > 0) process.exitCode = 1;
