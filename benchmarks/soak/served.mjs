/**
 * A server in a process that tells what it holds. In: its options as JSON, then a line for each question: `idle` waits until nothing is
 * under way. Out: the address, then a line of JSON a question. What the engine still did for a client after its connection was
 * closed is counted from the moment that the server has told it so.
 */
import { subscribe } from 'node:diagnostics_channel';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

import { FaceLlm } from '../../dist/index.js';
import { serve } from '../../dist/serving/index.js';

const { folder, load, ...options } = JSON.parse(process.argv[2] ?? '{}');
const model = await FaceLlm.load(folder, load);
// Requests are let in by as many rows as the model has.
const rows = load?.maxRows === undefined ? {} : { load: { maxRows: load.maxRows } };
const server = await serve({ model, port: 0, ...rows, ...options });

const collect = /** @type {{ gc?: () => void }} */ (globalThis).gc;
const sleep = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** @type {{ steps: number; tokens: number; wasUnderWay: boolean }[]} */
let left = [];
let closing = 0;
const isIdle = (/** @type {Awaited<ReturnType<typeof model.stats>>} */ now) =>
  now.usedBlocks + now.pinnedImages + now.runningRows + now.waitingRequests === 0;
async function idle() {
  for (let tries = 0; ; tries++) {
    const now = await model.stats();
    if (isIdle(now) && tries > 0) return now;
    if (tries > 6000) throw new Error(`still held: ${JSON.stringify(now)}`);
    await sleep(1);
  }
}
subscribe('http.server.request.start', (message) => {
  const { response } = /** @type {{ response: import('node:http').ServerResponse }} */ (message);
  response.once('close', async () => {
    if (response.writableEnded) return;
    closing++;
    // Others that hear of it, the server among them, have done what they do then.
    await new Promise((resolve) => process.nextTick(resolve));
    const before = await model.stats();
    // Ended meanwhile, the model tells nothing any more.
    const after = isIdle(before)
      ? before
      : await idle().catch((/** @type {Error & { code?: string }} */ error) => {
          if (error.code !== 'FACELLM_DISPOSED') throw error;
          return before;
        });
    left.push({
      steps: after.steps - before.steps,
      tokens: after.tokensGenerated - before.tokensGenerated,
      wasUnderWay: !isIdle(before),
    });
    closing--;
  });
});

process.stdout.write(`${server.url}\n`);
for await (const line of createInterface({ input: process.stdin })) {
  const stats = await idle();
  while (closing > 0) await sleep(1);
  if (line === 'collect') collect?.();
  const status = readFileSync('/proc/self/status', 'utf8');
  const ownBytes = Number(/^RssAnon:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  const told = { stats, left, ownBytes, heapBytes: heapUsed, external, arrayBuffers };
  left = [];
  process.stdout.write(`${JSON.stringify(told)}\n`);
}
await server.close();
await model.dispose();
