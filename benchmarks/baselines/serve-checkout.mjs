/**
 * A process of benchmarks/checkouts.ts: the library of a checkout (its dist and addon), by its public names alone, so that versions whose native contract
 * differs can be compared. A line of JSON with milliseconds for each question that comes.
 */
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [root = '', model = '', dtype = '', threads = '', side = ''] = process.argv.slice(2);
const { FaceLlm } = await import(pathToFileURL(join(root, 'dist', 'index.js')).href);
const loaded = await FaceLlm.load(model, { dtype, threads: Number(threads) });

/** Never asked before: nothing of it is kept. */
function words(count) {
  return Array.from({ length: count }, () => Math.random().toString(36).slice(2, 5)).join(' ');
}

const kinds = {
  async tile() {
    const width = Number(side);
    const data = Uint8Array.from({ length: width * width * 3 }, () => Math.random() * 256);
    const start = performance.now();
    await loaded.embedImages([{ data, width, height: width }], { tiling: 'off' });
    return { ms: performance.now() - start };
  },
  async prompt({ words: count }) {
    const asked = { question: words(count), maxNewTokens: 1, doSample: false };
    const { timings, promptTokens } = await loaded.ask(asked).result();
    return { ms: timings.prefill, tokens: promptTokens };
  },
  async token({ words: count, steps }) {
    const asked = { question: words(count), maxNewTokens: steps + 1, doSample: false };
    const { timings, tokenIds, promptTokens } = await loaded.ask(asked).result();
    if (tokenIds.length !== steps + 1)
      throw new Error(`an answer ended after ${tokenIds.length} tokens`);
    return { ms: timings.decode / (tokenIds.length - 1), tokens: promptTokens };
  },
};

console.log('ready');
for await (const line of createInterface({ input: process.stdin })) {
  const question = JSON.parse(line);
  console.log(JSON.stringify(await kinds[question.kind](question)));
}
await loaded.dispose();
