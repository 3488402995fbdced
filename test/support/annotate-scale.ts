/**
 * A hundred thousand rows by a stub, or the plan of a million pictures, in a process of its own, which tells its memory at the most
 * and whatever else came.
 *
 *     node --import=./test/support/tsx.mjs test/support/annotate-scale.ts rows|plan FOLDER
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import sharp from 'sharp';

import { annotate, type AnnotateOptions, type FoundFace, planAnnotation } from '../../lib/index.js';
import { annotatingStub } from './annotating-stub.js';

const [what = '', folder = ''] = process.argv.slice(2);
const FACES = 20;
const PICTURES = what === 'plan' ? 1_000_000 : 100_000 / FACES;

await sharp({ create: { width: 200, height: 200, channels: 3, background: '#777' } })
  .png()
  .toFile(join(folder, 'one.png'));
// As many names for one picture.
const names = Array.from({ length: PICTURES }, (_, i) => `${i}/../one.png`);
writeFileSync(join(folder, 'list.txt'), names.join('\n'));
/** Many faces in a picture: rows are what memory could follow. */
const detector = (): Promise<FoundFace[]> =>
  Promise.resolve(
    Array.from({ length: FACES }, (_, i) => ({
      box: { x: (i % 10) * 20, y: Math.floor(i / 10) * 20, width: 18, height: 18 },
      score: 0.9,
    })),
  );
const options: AnnotateOptions = {
  input: join(folder, 'list.txt'),
  output: [join(folder, 'out.jsonl'), join(folder, 'out.csv'), join(folder, 'out.parquet')],
  model: annotatingStub(),
  questions: [
    { name: 'smile', question: 'Smiling?', choices: ['Yes', 'No'] },
    {
      name: 'age',
      question: 'How old?',
      choices: ['0-19', '20-39', '40-59', '60-'],
      values: [10, 30, 50, 70],
    },
  ],
  faces: what === 'plan' ? 'off' : { size: 16, detector },
  environment: {},
  ...(what === 'plan' ? {} : { sheet: join(folder, 'sheet.html'), sheetRows: 20 }),
};
/** Of this process alone: pages of libtorch's files, which it shares and the kernel may drop, are none of the run's. */
const ownBytes = (): number =>
  1024 * Number(/^RssAnon:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
let peak = 0;
const watch = setInterval(() => (peak = Math.max(peak, ownBytes())), 50);
const result = what === 'plan' ? await planAnnotation(options) : await annotate(options);
clearInterval(watch);
peak = Math.max(peak, ownBytes());
process.stdout.write(JSON.stringify({ peak, result }));
