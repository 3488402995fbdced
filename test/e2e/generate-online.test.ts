/** Making a dataset against a real HTTP server that misbehaves. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { parquetReadObjects } from 'hyparquet';

import {
  type GenerateOptions,
  generateDataset,
  openAiTeacher,
  planDataset,
  readDataset,
  type Teacher,
} from '../../lib/data/index.js';
import { FaceLlmError } from '../../lib/errors.js';
import { LabelledFaces } from '../support/labelled-faces.js';
import { type Behaviour, type Call, TeacherServer } from '../support/teacher-server.js';

const IMAGES = 6;
const PAIRS = IMAGES * 8;
const SECRET = 'sk-secret-of-the-test';
const PRICES = { input: 1, output: 1 };

function lines(path: string): Record<string, unknown>[] {
  const text = readFileSync(path, 'utf8').split('\n');
  return text.filter((line) => line !== '').map((line) => JSON.parse(line) as never);
}

describe('e2e: generate from an API', () => {
  let faces: LabelledFaces;
  const servers: TeacherServer[] = [];
  const key = process.env['OPENAI_API_KEY'];

  before(async () => {
    process.env['OPENAI_API_KEY'] = SECRET;
    faces = await LabelledFaces.create(IMAGES);
  });
  after(async () => {
    if (key === undefined) delete process.env['OPENAI_API_KEY'];
    else process.env['OPENAI_API_KEY'] = key;
    faces.remove();
    for (const server of servers) await server.close();
  });

  async function serve(behave: (call: Call) => Behaviour): Promise<TeacherServer> {
    const server = await TeacherServer.start(behave);
    servers.push(server);
    return server;
  }

  function teach(server: TeacherServer, options = {}): Promise<Teacher> {
    return openAiTeacher({ baseUrl: server.url, model: 'loopback', prices: PRICES, ...options });
  }

  function options(
    name: string,
    teacher: Teacher,
    more: Partial<GenerateOptions> = {},
  ): GenerateOptions {
    const { labels, folder: images } = faces;
    return { labels, images, output: faces.output(name), teacher, ...more };
  }

  /** As a promise, which `assert.rejects` insists on. */
  async function make(all: GenerateOptions): Promise<void> {
    await generateDataset(all);
  }

  it('gets every answer out of a server that fails in every way, and counts the true cost', async () => {
    const failures: Behaviour[] = [
      { kind: 'status', status: 429, headers: { 'retry-after-ms': '30' } },
      { kind: 'status', status: 500 },
      { kind: 'hang' },
      { kind: 'hang-body' },
      { kind: 'cut' },
      { kind: 'malformed' },
      { kind: 'status', status: 503, headers: { 'retry-after': '0' } },
    ];
    // The n-th question meets the n-th failure first.
    const order = new Map<string, number>();
    const server = await serve(({ key, count }) => {
      if (!order.has(key)) order.set(key, order.size);
      const place = order.get(key) ?? 0;
      return (
        (count === 1 && place % 3 === 0 && failures[(place / 3) % failures.length]) || {
          kind: 'answer',
        }
      );
    });
    const teacher = await teach(server, { timeoutMs: 300 });
    const result = await generateDataset(options('failing', teacher, { concurrency: 8 }));
    assert.equal(result.end, 'complete');
    assert.equal(result.answered, PAIRS);
    assert.deepEqual(result.setAside, {});
    // A slow machine may run into the time limit once more.
    assert.ok(result.failedRequests >= PAIRS / 3);
    assert.equal(server.calls.length, PAIRS + result.failedRequests);
    assert.equal(result.spending.promptTokens, PAIRS * 500);
    assert.equal(result.spending.completionTokens, PAIRS * 100);
    assert.ok(Math.abs(result.spending.cost - (PAIRS * 600) / 1e6) < 1e-9);
    assert.ok(result.spending.possiblyLost > 0, 'hangs and torn replies may have been charged');
    assert.deepEqual([...server.authorizations], [`Bearer ${SECRET}`]);
  });

  it('sends the text first, the picture second, labels to the teacher only', async () => {
    const server = await serve(() => ({ kind: 'answer' }));
    const result = await generateDataset(options('form', await teach(server)));
    const call = server.calls[0];
    const messages = call?.body['messages'] as [
      { role: string; content: string },
      { role: string; content: [{ type: string }, { type: string; image_url: { url: string } }] },
    ];
    assert.deepEqual(
      messages.map(({ role }) => role),
      ['system', 'user'],
    );
    assert.deepEqual(
      messages[1].content.map(({ type }) => type),
      ['text', 'image_url'],
    );
    const picture = readFileSync(join(faces.folder, 'val', '1.jpg')).toString('base64');
    assert.equal(messages[1].content[1].image_url.url, `data:image/jpeg;base64,${picture}`);
    assert.equal(call?.body['max_tokens'], 1024);
    assert.match(
      call?.prompt ?? '',
      /^It is known that this is a face image of a boy with Black ethnicity, 3-9 years old\. /,
    );
    const text = readFileSync(join(result.output, 'dataset.json'), 'utf8');
    // What is learnt holds no label; keys beside it do.
    const learnt = (JSON.parse(text) as { conversations: unknown }[]).map(
      (one) => one.conversations,
    );
    assert.doesNotMatch(JSON.stringify(learnt), /ethnicity|3-9|Latino|known that/);
  });

  it('writes ShareGPT that our reader takes, the same as Parquet, a card and a summary', async () => {
    const server = await serve(() => ({ kind: 'answer' }));
    const result = await generateDataset(
      options('files', await teach(server), { license: 'CC BY-SA 4.0' }),
    );
    for (const path of [result.output, join(result.output, 'dataset.json')]) {
      const dataset = await readDataset(path);
      assert.equal(dataset.records.length, PAIRS);
      assert.deepEqual(dataset.records[0]?.images, [join(faces.folder, 'val', '1.jpg')]);
      assert.deepEqual(dataset.records[7]?.turns[0]?.user, '<image>\nDescribe this image.');
    }
    const records = JSON.parse(readFileSync(join(result.output, 'dataset.json'), 'utf8')) as {
      id: string;
      conversations: { from: string; value: string }[];
      images: string[];
      prompt_set: string;
    }[];
    assert.deepEqual(Object.keys(records[0] ?? {}), [
      ...['id', 'conversations', 'images', 'teacher', 'prompt_set', 'age', 'gender', 'race'],
    ]);
    assert.deepEqual(records[0]?.images, ['../val/1.jpg']);
    assert.ok(records.every(({ prompt_set }) => prompt_set === result.promptSet.sha256));
    const bytes = readFileSync(join(result.output, 'dataset.parquet'));
    const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
    const rows = await parquetReadObjects({ file });
    assert.equal(rows.length, PAIRS);
    for (const [i, record] of records.entries()) {
      const [human, gpt] = record.conversations;
      assert.equal(rows[i]?.['id'], record.id);
      assert.equal(`<image>\n${String(rows[i]?.['human'])}`, human?.value);
      assert.equal(rows[i]?.['gpt'], gpt?.value);
    }
    assert.equal(rows[0]?.['age'], '3-9');
    assert.equal(rows[0]?.['eyewear'], null);
    const card = readFileSync(join(result.output, 'README.md'), 'utf8');
    assert.match(card, /^license: CC BY-SA 4\.0$/m);
    assert.ok(card.includes(result.promptSet.sha256));
    assert.match(card, /24000 prompt and 4800 completion tokens\. \$0\.0288 at/);
    assert.match(card, /\| Black \| Male \| 1 \|/);
    assert.match(card, /FairFace, CC BY 4\.0/);
    const summary = JSON.parse(readFileSync(join(result.output, 'summary.json'), 'utf8')) as object;
    assert.deepEqual(summary, JSON.parse(JSON.stringify(result)));
    assert.ok(!readFileSync(join(result.output, 'journal.jsonl'), 'utf8').includes(SECRET));
  });

  it('asks again for bad answers, then sets them aside with the reason', async () => {
    const bad: Behaviour[] = [
      { kind: 'answer', refusal: 'No.' },
      { kind: 'answer', text: "I'm unable to analyze this image." },
      { kind: 'answer', text: ' \n' },
      { kind: 'answer', finish: 'length' },
      { kind: 'answer', text: 'Based on the given description, the face is calm.' },
      { kind: 'answer', text: 'The given age fits the calm face.' },
      { kind: 'answer', finish: 'content_filter' },
      { kind: 'answer', text: 'A calm <image> face.' },
    ];
    const order = new Map<string, number>();
    // The first eight questions never get a good answer; the next eight do at the second try.
    const server = await serve(({ key, count }) => {
      if (!order.has(key)) order.set(key, order.size);
      const place = order.get(key) ?? 0;
      const fails = place < 8 || (place < 16 && count === 1);
      return (fails && bad[place % 8]) || { kind: 'answer' };
    });
    const teacher = await teach(server);
    const all = options('bad', teacher, { concurrency: 1, maxAttempts: 2 });
    const result = await generateDataset(all);
    const reasons = { refusal: 3, empty: 1, truncated: 1, off_topic: 1, label_leak: 1, markup: 1 };
    assert.deepEqual(result.setAside, reasons);
    assert.equal(result.answered, PAIRS - 8);
    const total = Object.values(result.rejected).reduce((sum, count) => sum + count, 0);
    assert.equal(total, 8 * 2 + 8);
    assert.equal(
      result.spending.promptTokens,
      server.calls.length * 500,
      'bad answers are paid for',
    );
    const aside = lines(join(result.output, 'set_aside.jsonl'));
    assert.equal(aside.length, 8);
    assert.deepEqual(aside[1], {
      ...{ id: 'val/1.jpg#facial_structure', reason: 'refusal' },
      ...{ detail: "I'm unable to analyze", attempts: 2 },
    });
    const records = (await readDataset(result.output)).records;
    assert.equal(records.length, PAIRS - 8);

    const calls = server.calls.length;
    await generateDataset(all);
    assert.equal(server.calls.length, calls, 'a finished run asks nothing');
    const healed = await serve(() => ({ kind: 'answer' }));
    const again = await teach(healed);
    // The base URL is part of what a run is: this one differs by its port.
    await assert.rejects(make({ ...all, teacher: again }), (error: FaceLlmError) => {
      assert.equal(error.code, 'FACELLM_RUN_INVALID');
      return /teacher: the folder has/.test(error.details[0] ?? '');
    });
    order.clear();
    for (let i = 0; i < 8; i++) order.set(`used up ${i}`, i);
    const retried = await generateDataset({ ...all, retrySetAside: true });
    assert.deepEqual([retried.answered, retried.setAside], [PAIRS, {}]);
  });

  it('never passes the spending limit, says so, and goes on when it is raised', async () => {
    const server = await serve(() => ({ kind: 'answer', delayMs: 5 }));
    const teacher = await teach(server, { maxTokens: 200 });
    const spendingLimit = 0.012;
    const result = await generateDataset(
      options('limit', teacher, { spendingLimit, concurrency: 4 }),
    );
    assert.equal(result.end, 'spending_limit');
    assert.ok(result.spending.cost <= spendingLimit);
    // What is left is less than a request can cost at most: nothing was held back without need.
    assert.ok(result.spending.cost > spendingLimit - 0.004, String(result.spending.cost));
    assert.equal(result.answered + result.open, PAIRS);
    assert.equal((await readDataset(result.output)).records.length, result.answered);
    assert.match(readFileSync(join(result.output, 'README.md'), 'utf8'), /Not complete/);
    const rest = await generateDataset(options('limit', teacher, { spendingLimit: 1 }));
    assert.deepEqual([rest.end, rest.answered], ['complete', PAIRS]);
    assert.equal(server.calls.length, PAIRS);
  });

  it('stop() finishes what is under way, and the next call does the rest', async () => {
    const server = await serve(() => ({ kind: 'answer', delayMs: 20 }));
    const teacher = await teach(server);
    const run = generateDataset(options('stopped', teacher, { concurrency: 4 }));
    server.onCall = () => {
      if (server.calls.length === 10) run.stop();
    };
    const result = await run;
    assert.equal(result.end, 'stopped');
    assert.ok(result.answered >= 10 && result.answered <= 14, String(result.answered));
    assert.equal(result.answered, server.calls.length);
    server.onCall = () => undefined;
    assert.equal((await generateDataset(options('stopped', teacher))).answered, PAIRS);
    assert.equal(server.calls.length, PAIRS);
  });

  it('waits as long as Retry-After says, everybody', async () => {
    let refusedAt = 0;
    const server = await serve(() => {
      if (refusedAt > 0) return { kind: 'answer' };
      refusedAt = performance.now();
      return { kind: 'status', status: 429, headers: { 'retry-after': '1' } };
    });
    const times: number[] = [];
    server.onCall = () => times.push(performance.now());
    await generateDataset(options('waits', await teach(server), { concurrency: 1 }));
    assert.ok((times[1] ?? 0) - refusedAt >= 999, String((times[1] ?? 0) - refusedAt));
  });

  it('ends at once where the teacher takes no questions, without showing the key', async () => {
    const error = {
      error: { message: `Incorrect API key provided: ${SECRET}`, code: 'invalid_api_key' },
    };
    const server = await serve(() => ({ kind: 'status', status: 401, body: error }));
    await assert.rejects(
      make(options('fatal', await teach(server), { concurrency: 2 })),
      (thrown: FaceLlmError) => {
        assert.equal(thrown.code, 'FACELLM_TEACHER_FAILED');
        assert.ok(!JSON.stringify([thrown.message, thrown.stack, thrown.details]).includes(SECRET));
        return thrown.message.includes('***');
      },
    );
    assert.ok(server.calls.length <= 2);
  });

  it('a teacher that is gone ends the run; what it set aside is asked again by the next', async () => {
    let isGone = true;
    const server = await serve(() =>
      isGone ? { kind: 'status', status: 500 } : { kind: 'answer' },
    );
    const all = options('gone', await teach(server), { maxRetries: 0, concurrency: 2 });
    await assert.rejects(make(all), { code: 'FACELLM_TEACHER_FAILED' });
    assert.ok(server.calls.length < PAIRS);
    isGone = false;
    const result = await generateDataset(all);
    assert.deepEqual([result.answered, result.setAside], [PAIRS, {}]);
  });

  it('a picture or a question that the teacher never takes is set aside, the rest goes on', async () => {
    const own = await LabelledFaces.create(2);
    writeFileSync(join(own.folder, 'val', '1.jpg'), 'no picture');
    const server = await serve(({ prompt }) =>
      prompt.includes('skin texture') ? { kind: 'status', status: 400 } : { kind: 'answer' },
    );
    try {
      const result = await generateDataset({
        ...{ labels: own.labels, images: own.folder, output: own.output('out') },
        teacher: await teach(server),
      });
      assert.deepEqual([result.setAside, result.answered], [{ bad_request: 9 }, 7]);
    } finally {
      own.remove();
    }
  });

  it('charges what a request can cost at most where the server does not count', async () => {
    const server = await serve(() => ({ kind: 'answer', withoutUsage: true }));
    const teacher = await teach(server, { maxTokens: 50 });
    const { spending } = await generateDataset(options('uncounted', teacher, { maxImages: 1 }));
    assert.ok(spending.cost > (8 * 50) / 1e6);
    assert.equal(spending.promptTokens, 0);
  });

  it('estimates without a key and without asking', async () => {
    const server = await serve(() => ({ kind: 'answer' }));
    const plan = await planDataset(options('plan', await teach(server, { model: 'gpt-4o' })));
    assert.deepEqual([plan.pairs, plan.images, plan.sampledImages], [PAIRS, IMAGES, IMAGES]);
    // 255 tokens for a picture of one square, 200 for an answer, some 400 of text.
    const each = plan.likely.promptTokens / PAIRS;
    assert.ok(each > 500 && each < 900, String(each));
    assert.equal(plan.likely.completionTokens, PAIRS * 200);
    assert.equal(server.calls.length, 0);
  });

  it('keeps two processes out of one folder and another run out of its journal', async () => {
    const server = await serve(() => ({ kind: 'answer', delayMs: 50 }));
    const teacher = await teach(server);
    const first = generateDataset(options('twice', teacher));
    const begun = new Promise((resolve) => (server.onCall = resolve));
    await begun;
    await assert.rejects(make(options('twice', teacher)), {
      code: 'FACELLM_RUN_INVALID',
    });
    await first;
    await assert.rejects(
      make(options('twice', teacher, { prompts: 'attributes' })),
      (error: FaceLlmError) => error.details.some((detail) => detail.startsWith('promptSet: ')),
    );
  });

  it('lists every wrong argument at once', async () => {
    const server = await serve(() => ({ kind: 'answer' }));
    const teacher = await openAiTeacher({ baseUrl: server.url, model: 'nobody-knows' });
    await assert.rejects(
      make(
        options('wrong', teacher, {
          concurrency: 0,
          maxAttempts: 1.5,
          spendingLimit: 1,
          labels: '',
        }),
      ),
      (error: FaceLlmError) => {
        assert.equal(error.code, 'FACELLM_INVALID_ARGUMENT');
        assert.equal(error.details.length, 4);
        return true;
      },
    );
  });
});
