/**
 * `npm run bench:serve-latency -- [--model DIR] [--streams 64] [--seconds 15] [--pairs 300] [--out FILE]`: how long the server's event loop is held
 * up, and what HTTP costs. Beside so many streams, without and with pictures of 12 megapixels that are new each time: the lag of the
 * loop as the server's own metrics tell it, and how long `/health` takes, asked every 20 ms by another thread from the
 * planned moment on. Then one small request of the library and over HTTP, in one process, by turns, A B B A: client
 * and server are part of what HTTP costs. Rows of --streams run in one engine: 16 of them at a time on a CPU.
 */
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';

import sharp from 'sharp';

import { importBuilt } from '../harness/built.js';
import { readLoad, writeReport } from '../harness/environment.js';
import { bootstrap, median } from '../harness/statistics.js';
import { CHAT, metric, question, send, sleep } from '../soak/client.js';
import { quantile } from './quantile.js';
import { startFacellm } from './servers.js';

const ROOT = join(import.meta.dirname, '..', '..');
const FACES = join(ROOT, 'examples', 'faces', 'congress');
/** Of the histogram of a loop's delays, which counts it as delay. */
const RESOLUTION_MS = 10;

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: join(ROOT, 'golden', 'ckpt-300m') },
    streams: { type: 'string', default: '64' },
    seconds: { type: 'string', default: '15' },
    pairs: { type: 'string', default: '300' },
    tokens: { type: 'string', default: '64' },
    parts: { type: 'string', default: 'loop,http' },
    serve: { type: 'string', default: '' },
    out: { type: 'string' },
  },
});
const seconds = Number(values.seconds);
const tokens = Number(values.tokens);
const streams = Number(values.streams);

const spread = (some: readonly number[]): Record<string, number> => ({
  count: some.length,
  p10Ms: quantile(some, 0.1),
  p50Ms: quantile(some, 0.5),
  p99Ms: quantile(some, 0.99),
  maxMs: Math.max(...some),
});

/** JPEGs of 4000 x 3000, as phones make them. */
async function largePictures(): Promise<readonly Buffer[]> {
  const files = readdirSync(FACES)
    .filter((file) => file.endsWith('.jpg'))
    .sort()
    .slice(0, 4);
  return Promise.all(
    files.map((file) =>
      sharp(join(FACES, file)).resize(4000, 3000, { fit: 'fill' }).jpeg({ quality: 90 }).toBuffer(),
    ),
  );
}

/** Bodies made beforehand: base64 of megabytes would hold up this process's loop. */
function bodiesOf(pictures: readonly Buffer[]): readonly Buffer[] {
  const fields = { max_tokens: tokens, min_tokens: tokens, stream: true };
  return Array.from({ length: 256 }, (_, i) => {
    const file = pictures[i % Math.max(1, pictures.length)];
    if (file === undefined) {
      return Buffer.from(JSON.stringify(question(`Question ${i}.`, fields)));
    }
    // A byte behind the picture's end: another file, never seen.
    const bytes = Buffer.concat([file, Buffer.from([i, i >> 8])]);
    const tiles = { ...fields, tiles: 'off' };
    const url = `data:image/jpeg;base64,${bytes.toString('base64')}`;
    return Buffer.from(JSON.stringify(question(`Question ${i}.`, tiles, url)));
  });
}

interface Probed {
  readonly took: readonly number[];
  /** Whether the asker's thread went before all others. */
  readonly goesFirst: boolean;
}

async function probing(url: string, ms: () => Promise<void>): Promise<Probed> {
  const worker = new Worker(new URL('./prober.mjs', import.meta.url), {
    workerData: { url: `${url}/health`, everyMs: 20 },
    execArgv: [],
  });
  await once(worker, 'online');
  await ms();
  worker.postMessage('end');
  const [probed] = (await once(worker, 'message')) as [Probed];
  await worker.terminate();
  return probed;
}

async function loopRows(): Promise<object[]> {
  const flags = values.serve.split(/\s+/).filter((flag) => flag !== '');
  const server = await startFacellm(values.model, flags);
  const rows: object[] = [];
  const kinds: readonly (readonly [name: string, bodies: readonly Buffer[]])[] = [
    ['idle', []],
    [`${streams} streams of text`, bodiesOf([])],
    [`${streams} streams with pictures of 12 megapixels`, bodiesOf(await largePictures())],
  ];
  try {
    for (const [name, bodies] of kinds) {
      let [isOver, asked, answered, refused] = [false, 0, 0, 0];
      const stream = async (): Promise<void> => {
        while (!isOver) {
          const { status } = await send(server.url + CHAT, bodies[asked++ % bodies.length], {
            timeoutMs: 600_000,
          });
          if (status === 200) answered++;
          else refused++;
        }
      };
      const all = bodies.length === 0 ? [] : Array.from({ length: streams }, stream);
      await sleep(3000);
      // Each look at the metrics begins its histogram anew.
      await metric(server.url, 'nodejs_eventloop_lag_p99_seconds');
      const before = readLoad();
      const { took, goesFirst } = await probing(server.url, () => sleep(1000 * seconds));
      const { text } = await send(`${server.url}/metrics`);
      const after = readLoad();
      const lag = (which: string): number => {
        const found = new RegExp(
          `^facellm:nodejs_eventloop_lag_${which}_seconds (\\S+)$`,
          'm',
        ).exec(text);
        return Number(found?.[1]) * 1000 - RESOLUTION_MS;
      };
      isOver = true;
      await Promise.all(all);
      const row = {
        ...{ name, answered, refused },
        health: { ...spread(took), goesFirst },
        loopLag: { p50Ms: lag('p50'), p99Ms: lag('p99'), maxMs: lag('max') },
        stolenShare: (after.stolen - before.stolen) / Math.max(1, after.total - before.total),
      };
      rows.push(row);
      console.log(JSON.stringify(row));
    }
  } finally {
    await server.stop();
  }
  return rows;
}

async function httpRow(): Promise<object> {
  const Built = await importBuilt();
  const built = new URL('../../dist/serving/index.js', import.meta.url).href;
  const { serve } = (await import(built)) as typeof import('../../lib/serving/index.js');
  const model = await Built.load(values.model, { device: 'cpu' });
  const server = await serve({ model, port: 0 });
  const text = 'Is this person smiling?';
  const library = (): Promise<unknown> =>
    model.ask({ question: text, maxNewTokens: 1, doSample: false }).result();
  const http = (): Promise<unknown> => send(server.url + CHAT, question(text, { max_tokens: 1 }));
  /** Of all threads of the process, the engine's too. */
  const cpu: [number, number] = [0, 0];
  const taken: [number[], number[]] = [[], []];
  const run = async (which: 0 | 1): Promise<void> => {
    const before = process.cpuUsage();
    const began = performance.now();
    await (which === 0 ? library() : http());
    taken[which].push(performance.now() - began);
    const { user, system } = process.cpuUsage(before);
    cpu[which] += (user + system) / 1000;
  };
  for (let i = 0; i < 50; i++) {
    await library();
    await http();
  }
  for (let pair = 0; pair < Number(values.pairs); pair++) {
    for (const which of pair % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
      await run(which);
    }
  }
  await server.close();
  await model.dispose();
  const row = {
    name: 'one small request',
    library: spread(taken[0]),
    http: spread(taken[1]),
    // What other work on the machine does not lengthen.
    processorMs: cpu.map((all) => all / Number(values.pairs)),
    differenceOfMediansMs: median(taken[1]) - median(taken[0]),
    differenceOfPairsMs: bootstrap(taken[1].map((ms, i) => ms - (taken[0][i] ?? NaN))),
  };
  console.log(JSON.stringify(row));
  return row;
}

const parts = values.parts.split(',');
const results = [
  ...(parts.includes('loop') ? await loopRows() : []),
  ...(parts.includes('http') ? [await httpRow()] : []),
];
await writeReport(values, { results });
process.exit();
