/**
 * `mapped-weights.ts CASE FOLDER`: a model whose file changes while it is in use, in a process of its own, since what
 * is tested is whether that process survives. FOLDER holds a copy of the tiny checkpoint. Prints JSON.
 */
import { copyFileSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { FaceLlm } from '../../lib/index.js';
import { GOLDEN } from './golden.js';

const ORIGINAL = join(GOLDEN, 'ckpt-300m');
const [, , name = '', folder = ''] = process.argv;
const file = join(folder, 'model.safetensors');
const ask = async (model: FaceLlm, onPiece: () => void = () => {}): Promise<string> => {
  const answer = model.ask({
    image: join(GOLDEN, 'infer-300m', 'images', 'face_square_0.png'),
    question: 'Describe.',
    maxNewTokens: 200,
  });
  for await (const piece of answer) if (piece !== '') onPiece();
  return (await answer.result()).text;
};
const failure = async (work: Promise<unknown>): Promise<unknown> => {
  try {
    return { answered: await work };
  } catch (error) {
    const { code, message } = error as { code?: unknown; message?: unknown };
    return { code, message };
  }
};

const cases: Record<string, (model: FaceLlm) => Promise<unknown>> = {
  async truncatedWhileAnswering(model) {
    return failure(ask(model, () => truncateSync(file, 0)));
  },
  async truncatedBetween(model) {
    truncateSync(file, 1000);
    return failure(ask(model));
  },
  async writtenTo(model) {
    writeFileSync(file, Buffer.alloc(64), { flag: 'r+' });
    return failure(model.choose({ question: 'Which?', choices: ['A', 'B'] }));
  },
  async replaced(model) {
    writeFileSync(`${file}.new`, 'something else');
    renameSync(`${file}.new`, file);
    return failure(ask(model));
  },
  async signalled() {
    process.kill(process.pid, 'SIGBUS');
    // If the signal had not ended the process, this would.
    await new Promise((resolve) => setTimeout(resolve, 1000));
    return 'alive';
  },
};

copyFileSync(join(ORIGINAL, 'model.safetensors'), file);
const reference = await FaceLlm.load(ORIGINAL);
const before = await ask(reference);
await using model = await FaceLlm.load(folder);
const outcome = await cases[name]?.(model);
const again = await failure(ask(model));
await reference.clearCaches();
console.log(JSON.stringify({ before, outcome, again, after: await ask(reference) }));
await reference.dispose();
