/**
 * `npm run demo`: asks a tiny checkpoint about a photograph, through the same code as a real one. Its
 * weights are random numbers, so its answer is noise; what it shows is that everything runs.
 */
import { join } from 'node:path';

import { ROOT, run, setUp } from './setup.mjs';

setUp();
const facellm = join(ROOT, 'dist', 'cli', 'main.js');
const photo = join('examples', 'photo.jpg');
const model = join('golden', 'ckpt-300m');

/** @param {string} title @param {readonly string[]} args */
function step(title, args) {
  process.stdout.write(
    `\n${title}\n$ npx facellm ${args.map((a) => (/[ "]/.test(a) ? JSON.stringify(a) : a)).join(' ')}\n`,
  );
  run(process.execPath, [facellm, ...args]);
}

process.stdout.write(
  'This checkpoint has random weights (80 thousand parameters): its answers are noise, the path is the real one.\n',
);
step('How the photograph will be cut, and what it costs:', ['plan', photo, '--model', model]);
step('A question; the answer streams:', [
  'ask',
  photo,
  'Describe this face.',
  '--model',
  model,
  '--tiles',
  'off',
  '--max-new-tokens',
  '24',
]);
step('Probabilities instead of prose:', [
  'choose',
  photo,
  'Does this person wear glasses?',
  '--model',
  model,
  '--tiles',
  'off',
  '--choices',
  'Yes',
  'No',
]);
process.stdout.write(
  '\nWith FaceLLM-1B: npx facellm ask PHOTO "QUESTION" --model FOLDER_OF_THE_CHECKPOINT\n',
);
