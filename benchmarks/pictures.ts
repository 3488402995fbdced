/**
 * `node --import=./test/support/tsx.mjs benchmarks/pictures.ts [--model DIR] [--rounds 15] [--out FILE]`: eight questions
 * about one photograph of 12 million pixels, by the path of its JPEG: asked for the first time, and about a picture
 * that is known. Medians; of the main thread what the kernel counted for it (Linux). The tiny checkpoint computes next
 * to nothing, so what is left is the pictures' way.
 */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import sharp from 'sharp';

import { FaceLlm } from '../lib/index.js';
import { writeReport } from './harness/environment.js';
import { median } from './harness/statistics.js';

const ROOT = join(import.meta.dirname, '..');
const { values } = parseArgs({
  options: {
    model: { type: 'string', default: join(ROOT, 'golden', 'ckpt-300m') },
    rounds: { type: 'string', default: '15' },
    out: { type: 'string' },
  },
});

interface Trial {
  readonly ms: number;
  readonly mainThreadMs: number;
  readonly decodings: number;
}

const mainThreadMs = (): number =>
  Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6;
let decodings = 0;
// Told when a task of libvips is queued and when it has run.
sharp.queue.on('change', () => (decodings += 0.5));

async function measure(work: () => Promise<unknown>): Promise<Trial> {
  decodings = 0;
  const [start, cpu] = [performance.now(), mainThreadMs()];
  await work();
  const [end, cpuEnd] = [performance.now(), mainThreadMs()];
  return { ms: end - start, mainThreadMs: cpuEnd - cpu, decodings };
}

const folder = mkdtempSync(join(tmpdir(), 'facellm-pictures-'));
const photo = join(folder, 'photo.jpg');
await sharp(join(ROOT, 'examples', 'photo.jpg'))
  .resize(4000, 3000, { fit: 'fill' })
  .jpeg({ quality: 95 })
  .toFile(photo);
const model = await FaceLlm.load(values.model, { device: 'cpu', dtype: 'fp32', threads: 2 });
const ask = (i: number): Promise<unknown> =>
  model.choose({ image: photo, question: `Question ${i}?`, choices: ['Yes', 'No'] });
const eight = Array.from({ length: 8 }, (_, i) => i);
const rows = {
  'eight at once, for the first time': async (): Promise<Trial> => {
    await model.clearCaches();
    // Other bytes, the same pixels: a picture that nothing is known of.
    writeFileSync(photo, Buffer.concat([readFileSync(photo), Buffer.from([0])]));
    return measure(() => Promise.all(eight.map(ask)));
  },
  'eight at once, known': () => measure(() => Promise.all(eight.map(ask))),
  'one after another, known': () =>
    measure(async () => {
      for (const i of eight) await ask(i);
    }),
};
console.log(`${(statSync(photo).size / 2 ** 20).toFixed(1)} MiB of JPEG, 4000 x 3000 pixels`);
const results = [];
for (const [name, run] of Object.entries(rows)) {
  await run();
  const trials: Trial[] = [];
  for (let round = 0; round < Number(values.rounds); round++) trials.push(await run());
  const of = (pick: (trial: Trial) => number): number => median(trials.map(pick));
  const ms = of((trial) => trial.ms);
  const onMainThread = of((trial) => trial.mainThreadMs);
  const decoded = of((trial) => trial.decodings);
  results.push({ name, ms, mainThreadMs: onMainThread, decodings: decoded });
  console.log(
    `${name.padEnd(36)} ${ms.toFixed(1).padStart(8)} ms  main thread ${onMainThread.toFixed(1).padStart(7)} ms  ` +
      `tasks of libvips ${decoded}`,
  );
}
await model.dispose();
rmSync(folder, { recursive: true });
await writeReport(values, { results });
