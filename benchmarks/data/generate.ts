/**
 * `node --import=tsx benchmarks/data/generate.ts [--seconds 20] [--out FILE]`: making datasets.
 * - the bare loop: 64 workers with nothing but fetch against the same teacher; what this machine, with
 *   whatever else it does, lets anybody reach
 * - throughput against a loopback teacher of 200 ms with 64 requests in flight, beside the limit that
 *   concurrency sets (64 / 0.2 s = 320 a second), pictures of FairFace's size included
 * - planning, answering by the labels teacher and writing of 87,632 pairs, the size of FairFace val
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import sharp from 'sharp';

import { generateDataset, labelsTeacher, openAiTeacher } from '../../lib/data/index.js';
import { VOCABULARY } from '../../lib/data/labels/vocabulary.js';

const DELAY_MS = 200;
const CONCURRENCY = 64;
const VAL_IMAGES = 10_954;

function labels(count: number): string {
  const { age, gender, race } = VOCABULARY;
  const rows = Array.from({ length: count }, (_, i) =>
    [`val/${i + 1}.jpg`, age[i % 9], gender[i % 2], race[i % 7], 'True'].join(','),
  );
  return `file,age,gender,race,service_test\n${rows.join('\n')}\n`;
}

/** 224 x 224 pixels and some 10 kB, as FairFace's crops. */
async function picture(seed: number): Promise<Buffer> {
  const noise = { type: 'gaussian' as const, mean: 100 + (seed % 50), sigma: 40 };
  const raw = sharp({
    create: { width: 224, height: 224, channels: 3, background: '#000', noise },
  });
  return sharp(await raw.png().toBuffer())
    .blur(1.2)
    .jpeg({ quality: 90 })
    .toBuffer();
}

async function startTeacher(): Promise<{ child: ChildProcess; url: string }> {
  const script = join(import.meta.dirname, 'slow-teacher.ts');
  const child = spawn(process.execPath, ['--import=tsx', script, String(DELAY_MS)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const url = await new Promise<string>((resolve) => {
    child.stdout?.once('data', (piece: Buffer) => resolve(piece.toString().trim()));
  });
  return { child, url };
}

/** The floor under the throughput's figure. */
async function bareLoop(url: string, requests: number): Promise<number> {
  const body = JSON.stringify({ picture: 'a'.repeat(15_000) });
  let sent = 0;
  const startedAt = performance.now();
  const work = async (): Promise<void> => {
    while (sent++ < requests) {
      const response = await fetch(`${url}/chat/completions`, { method: 'POST', body });
      await response.json();
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
  return (1000 * requests) / (performance.now() - startedAt);
}

async function throughput(folder: string, seconds: number): Promise<Record<string, number>> {
  const limit = CONCURRENCY / (DELAY_MS / 1000);
  const images = Math.ceil((limit * seconds) / 8);
  mkdirSync(join(folder, 'val'), { recursive: true });
  for (let i = 0; i < images; i++) {
    writeFileSync(join(folder, 'val', `${i + 1}.jpg`), await picture(i));
  }
  writeFileSync(join(folder, 'labels.csv'), labels(images));
  const { child, url } = await startTeacher();
  try {
    process.env['OPENAI_API_KEY'] ??= 'none';
    const barePerSecond = await bareLoop(url, images * 8);
    const prices = { input: 1, output: 1 };
    const run = generateDataset({
      ...{ labels: join(folder, 'labels.csv'), images: folder, output: join(folder, 'online') },
      teacher: await openAiTeacher({ baseUrl: url, model: 'loopback', prices }),
      concurrency: CONCURRENCY,
    });
    let [startedAt, endedAt] = [NaN, NaN];
    const cpuBefore = process.cpuUsage();
    for await (const event of run) {
      if (event.type === 'start') startedAt = performance.now();
      if (event.type === 'write') endedAt = performance.now();
    }
    const { answered } = await run;
    const perSecond = (1000 * answered) / (endedAt - startedAt);
    const { user, system } = process.cpuUsage(cpuBefore);
    // Of this process: above 1000 / limit, the machine sets the limit and not the concurrency.
    const cpuMsPerPair = (user + system) / 1000 / answered;
    return {
      ...{ pairs: answered, perSecond, limitPerSecond: limit, share: perSecond / limit },
      ...{ cpuMsPerPair, barePerSecond, bareShare: barePerSecond / limit },
    };
  } finally {
    child.kill();
  }
}

async function fullSize(folder: string): Promise<Record<string, number>> {
  mkdirSync(join(folder, 'val'), { recursive: true });
  for (let i = 1; i <= VAL_IMAGES; i++) writeFileSync(join(folder, 'val', `${i}.jpg`), '');
  writeFileSync(join(folder, 'labels.csv'), labels(VAL_IMAGES));
  global.gc?.();
  const before = process.memoryUsage().rss;
  let most = before;
  const startedAt = performance.now();
  const run = generateDataset({
    ...{ labels: join(folder, 'labels.csv'), images: folder, output: join(folder, 'out') },
    teacher: labelsTeacher(),
  });
  const at: Record<string, number> = {};
  for await (const event of run) {
    at[event.type] = performance.now() - startedAt;
    most = Math.max(most, process.memoryUsage().rss);
  }
  const { answered } = await run;
  const seconds = (performance.now() - startedAt) / 1000;
  const planSeconds = (at['start'] ?? NaN) / 1000;
  const writeSeconds = seconds - (at['write'] ?? NaN) / 1000;
  return { pairs: answered, planSeconds, writeSeconds, seconds, grownBytes: most - before };
}

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '20' }, out: { type: 'string' } },
});
const folder = mkdtempSync(join(tmpdir(), 'facellm-bench-'));
try {
  const online = await throughput(join(folder, 'online'), Number(values.seconds));
  console.log('loopback teacher, 200 ms, 64 in flight:', online);
  const full = await fullSize(join(folder, 'full'));
  console.log('87,632 pairs by the labels teacher:', full);
  const environment = {
    ...{ date: new Date().toISOString(), node: process.version, cpu: cpus()[0]?.model },
    ...{ cores: cpus().length, loadAverage: loadavg() },
  };
  const report = { environment, online, full };
  if (values.out !== undefined) writeFileSync(values.out, `${JSON.stringify(report, null, 2)}\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
