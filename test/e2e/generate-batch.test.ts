/** The Batch API against a loopback server: submit, poll, collect, resume. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import {
  type GenerateOptions,
  generateDataset,
  type GenerationEvent,
  labelsTeacher,
  openAiTeacher,
} from '../../lib/data/index.js';
import type { FaceLlmError } from '../../lib/errors.js';
import { LabelledFaces } from '../support/labelled-faces.js';
import { type Behaviour, type Call, TeacherServer } from '../support/teacher-server.js';

const IMAGES = 5;
const PAIRS = IMAGES * 8;
const PRICES = { input: 2, output: 2 };
const QUICK = { pollMs: 5 };

describe('e2e: generate by the Batch API', () => {
  let faces: LabelledFaces;
  const servers: TeacherServer[] = [];
  const key = process.env['OPENAI_API_KEY'];

  before(async () => {
    process.env['OPENAI_API_KEY'] = 'sk-secret-of-the-test';
    faces = await LabelledFaces.create(IMAGES);
  });
  after(async () => {
    if (key === undefined) delete process.env['OPENAI_API_KEY'];
    else process.env['OPENAI_API_KEY'] = key;
    faces.remove();
    for (const server of servers) await server.close();
  });

  async function serve(behave?: (call: Call) => Behaviour): Promise<TeacherServer> {
    const server = await TeacherServer.start(behave);
    servers.push(server);
    return server;
  }

  async function options(
    name: string,
    server: TeacherServer,
    more: Partial<GenerateOptions> = {},
  ): Promise<GenerateOptions> {
    const teacher = await openAiTeacher({ baseUrl: server.url, model: 'm', prices: PRICES });
    const { labels, folder: images } = faces;
    return { labels, images, output: faces.output(name), teacher, batch: QUICK, ...more };
  }

  it('gives the same dataset as single requests, for half the price', async () => {
    const server = await serve();
    const batched = await generateDataset(
      await options('batched', server, { batch: { ...QUICK, maxRequests: 12 } }),
    );
    assert.equal(server.batches.length, Math.ceil(PAIRS / 12));
    const single = await generateDataset(await options('single', server, { batch: undefined }));
    assert.deepEqual([batched.answered, single.answered], [PAIRS, PAIRS]);
    assert.equal(batched.spending.promptTokens, single.spending.promptTokens);
    assert.ok(Math.abs(batched.spending.cost * 2 - single.spending.cost) < 1e-9);
    for (const name of ['dataset.json', 'dataset.parquet']) {
      const [a, b] = [batched, single].map(({ output }) => readFileSync(join(output, name)));
      assert.ok(a?.equals(b ?? Buffer.alloc(0)), name);
    }
    const left = readdirSync(batched.output).filter((name) => name.startsWith('batch-'));
    assert.deepEqual(left, [], 'input files are removed once uploaded');
  });

  it('asks again for what a batch refused, failed or never reached', async () => {
    const order = new Map<string, number>();
    const server = await serve(({ key: question, count }) => {
      if (!order.has(question)) order.set(question, order.size);
      const place = order.get(question) ?? 0;
      if (place === 0) return { kind: 'answer', text: 'I cannot assist with that.' };
      if (place === 1) return { kind: 'status', status: 400 };
      if (count > 1) return { kind: 'answer' };
      if (place === 2) return { kind: 'status', status: 500 };
      if (place === 3) return { kind: 'hang' };
      return place === 4 ? { kind: 'answer', text: '' } : { kind: 'answer' };
    });
    const result = await generateDataset(await options('again', server, { maxAttempts: 2 }));
    assert.deepEqual(result.setAside, { refusal: 1, bad_request: 1 });
    assert.equal(result.answered, PAIRS - 2);
    assert.deepEqual(result.rejected, { refusal: 2, empty: 1 });
    assert.equal(server.batches.length, 2);
  });

  it('a stopped run leaves its batches at work; the next session collects and pays nothing twice', async () => {
    const server = await serve();
    server.looksPerBatch = 4;
    const all = await options('resumed', server, {
      batch: { ...QUICK, maxRequests: 16, maxOpen: 2 },
    });
    const run = generateDataset(all);
    for await (const event of run) if (event.type === 'batch') run.stop();
    const first = await run;
    assert.deepEqual([first.end, first.answered], ['stopped', 0]);
    assert.equal(server.batches.length, 2);
    await assert.rejects(
      async () => await generateDataset({ ...all, batch: undefined }),
      (error: FaceLlmError) => error.code === 'FACELLM_RUN_INVALID' && error.details.length === 2,
    );
    const events: GenerationEvent[] = [];
    const second = generateDataset(all);
    for await (const event of second) events.push(event);
    assert.equal((await second).answered, PAIRS);
    assert.equal(server.batches.length, 3);
    assert.equal(server.charged.size, PAIRS);
    assert.ok(events.some((event) => event.type === 'batch' && event.status === 'completed'));
  });

  it('finds a batch again that was made just before the process died', async () => {
    const server = await serve();
    const all = await options('found', server);
    const run = generateDataset(all);
    for await (const event of run) if (event.type === 'batch') run.stop();
    await run;
    // As if the process had died between making the batch and noting it.
    const path = join(all.output, 'journal.jsonl');
    const lines = readFileSync(path, 'utf8').split('\n');
    const kept = lines.filter((line) => !line.includes('"submitted"'));
    assert.equal(kept.length, lines.length - 1);
    writeFileSync(path, kept.join('\n'));
    assert.equal((await generateDataset(all)).answered, PAIRS);
    assert.equal(server.batches.length, 1);
  });

  it('uploads again what was prepared and not uploaded', async () => {
    const server = await serve();
    const all = await options('prepared', server);
    const run = generateDataset(all);
    for await (const event of run) if (event.type === 'batch') run.stop();
    await run;
    const path = join(all.output, 'journal.jsonl');
    const lines = readFileSync(path, 'utf8').split('\n');
    writeFileSync(path, lines.filter((line) => !/"(submitted|uploaded)"/.test(line)).join('\n'));
    assert.ok(!existsSync(join(all.output, 'batch-0001.jsonl')));
    assert.equal((await generateDataset(all)).answered, PAIRS);
    assert.equal(server.files.get('file-2'), server.files.get('file-1'));
  });

  it('sends no batch that could pass the spending limit', async () => {
    const server = await serve();
    const all = await options('limit', server, { spendingLimit: 0.015 });
    const result = await generateDataset(all);
    assert.equal(result.end, 'spending_limit');
    assert.ok(result.answered > 0 && result.answered < PAIRS);
    assert.ok(result.spending.cost <= 0.015);
    const rest = await generateDataset({ ...all, spendingLimit: 5 });
    assert.deepEqual([rest.end, rest.answered], ['complete', PAIRS]);
    assert.equal(server.charged.size, PAIRS);
  });

  it('needs a teacher that has it', async () => {
    const server = await serve();
    const all = await options('labels', server, { teacher: labelsTeacher() });
    await assert.rejects(async () => await generateDataset(all), {
      code: 'FACELLM_INVALID_ARGUMENT',
    });
  });
});
