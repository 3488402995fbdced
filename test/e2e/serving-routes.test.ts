/** Routes of ours beside the answers: many questions of one face, vectors, plans, adapters as models, loaded and unloaded. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import OpenAI from 'openai';

import type { FaceLlm } from '../../lib/index.js';
import { createKey, type RunningServer } from '../../lib/serving/index.js';
import { writeAdapter } from '../support/adapters.js';
import {
  CHECKPOINT,
  dataUrl,
  errorOf,
  loadTiny,
  PHOTO,
  post,
  question,
  type Reply,
  request,
  serveTiny,
  TILED,
  until,
} from '../support/server.js';

const CHAT = '/v1/chat/completions';
const YES_NO = ['Yes', 'No'];
const ITEMS = [
  { id: 'smile', question: 'Smiling?', choices: YES_NO },
  { question: 'How old?', choices: ['young', { text: 'old', label: 'above 60' }, 'in between'] },
];

const refusalOf = (reply: Reply): readonly unknown[] => {
  const { code, param } = errorOf(reply);
  return [reply.status, code, param];
};

describe('serving: routes of ours', () => {
  let model: FaceLlm;
  let server: RunningServer;
  before(async () => {
    model = await loadTiny();
    server = await serveTiny(model);
  });
  after(async () => {
    await server.close();
    await model.dispose();
  });

  describe('/v1/choose with items', () => {
    interface Result {
      readonly id: string | null;
      readonly best: number;
      readonly mass: number;
      readonly choices: readonly { readonly label: string | null; readonly logprob: number }[];
    }

    it('gives what the library gives, each in its place, the picture once', async () => {
      await model.clearCaches();
      const { tilesEncoded } = await model.stats();
      const images = [dataUrl(PHOTO)];
      const { json } = await post(server, '/v1/choose', { images, items: ITEMS });
      assert.equal((await model.stats()).tilesEncoded, tilesEncoded + 1);
      const mine = await model.choose({ image: PHOTO, items: ITEMS });
      const results = json['results'] as readonly Result[];
      assert.deepEqual(
        results.map(({ id }) => id),
        ['smile', null],
      );
      results.forEach((result, i) => {
        const own = mine[i];
        assert.ok(own);
        assert.equal(result.best, own.choices.indexOf(own.best));
        assert.ok(Math.abs(result.mass - own.mass) <= 1e-4 * own.mass);
        result.choices.forEach(({ logprob }, k) =>
          assert.ok(Math.abs(logprob - (own.choices[k]?.logProb ?? NaN)) < 1e-3),
        );
      });
      assert.deepEqual(
        results[1]?.choices.map(({ label }) => label),
        [null, 'above 60', null],
      );
      const usage = json['usage'] as { prompt_tokens: number };
      assert.equal(
        usage.prompt_tokens,
        mine.reduce((sum, { promptTokens }) => sum + promptTokens, 0),
      );
    });

    it('items may be messages, with one system turn for all', async () => {
      const system = { role: 'system', content: 'You know faces.' };
      const item = (text: string): object => ({
        messages: [system, { role: 'user', content: text }],
        choices: YES_NO,
      });
      const images = [dataUrl(PHOTO)];
      const { json } = await post(server, '/v1/choose', { images, items: [item('A hat?')] });
      const [mine] = await model.choose({
        ...{ image: PHOTO, system: system.content },
        items: [{ question: 'A hat?', choices: YES_NO }],
      });
      assert.equal((json['facellm'] as { prompt_hash: string }).prompt_hash, mine?.promptHash);
    });

    const [item] = ITEMS;
    const withSystem = (content: string): object => ({
      messages: [
        { role: 'system', content },
        { role: 'user', content: 'x' },
      ],
      choices: YES_NO,
    });
    for (const [name, body, param] of [
      ['no items', { items: [] }, 'items'],
      [
        '65 items',
        { items: Array.from({ length: 65 }, () => ({ ...item, id: undefined })) },
        'items',
      ],
      ['a question beside them', { items: [item], question: 'x' }, 'question'],
      ['choices beside them', { items: [item], choices: YES_NO }, 'choices'],
      ['an item that is a text', { items: ['x'] }, 'items[0]'],
      ['an item without a question', { items: [{ choices: YES_NO }] }, 'items[0].question'],
      ['an item of one choice', { items: [{ ...item, choices: ['a'] }] }, 'items[0].choices'],
      ['a choice twice', { items: [{ ...item, choices: ['a', 'a'] }] }, 'items[0].choices[1]'],
      ['an id twice', { items: [item, item] }, 'items[1].id'],
      ['an id that is a place', { items: [{ ...item, id: '1' }, ITEMS[1]] }, 'items[1].id'],
      ['two system turns', { items: [withSystem('a'), withSystem('b')] }, 'items'],
      [
        'a picture in an item',
        { items: [{ messages: [question()], choices: YES_NO }] },
        'items[0].messages',
      ],
    ] as const) {
      it(`refuses ${name}`, async () => {
        const reply = await post(server, '/v1/choose', body);
        assert.deepEqual(refusalOf(reply), [400, 'invalid_value', param]);
      });
    }
  });

  describe('/v1/embeddings', () => {
    const content = (bytes: Uint8Array): object => ({
      content: [{ type: 'image_url', image_url: { url: dataUrl(bytes) } }],
    });
    interface Embedding {
      readonly embedding: number[];
      readonly shape: readonly number[];
      readonly index: number;
    }

    it("is the library's vectors: their mean at length 1, or all of them", async () => {
      const [own] = await model.embedImages([PHOTO]);
      assert.ok(own);
      const one = await post(server, '/v1/embeddings', { input: dataUrl(PHOTO) });
      const [mean] = one.json['data'] as Embedding[];
      assert.deepEqual(mean?.shape, [own.dimension]);
      const sums = Array.from({ length: own.dimension }, (_, at) => {
        let sum = 0;
        for (let row = 0; row < own.tokens; row++) sum += own.data[row * own.dimension + at] ?? 0;
        return sum;
      });
      const length = Math.hypot(...sums);
      mean.embedding.forEach((value, at) =>
        assert.ok(Math.abs(value - (sums[at] ?? 0) / length) < 1e-5),
      );
      assert.ok(Math.abs(Math.hypot(...mean.embedding) - 1) < 1e-5);
      const many = await post(server, '/v1/embeddings', {
        input: [content(PHOTO), dataUrl(TILED)],
        pooling: 'none',
      });
      const data = many.json['data'] as (Omit<Embedding, 'embedding'> & {
        embedding: number[][];
      })[];
      assert.deepEqual(
        data.map(({ index }) => index),
        [0, 1],
      );
      assert.deepEqual(data[0]?.shape, [own.tokens, own.dimension]);
      assert.equal(data[0].embedding.length, own.tokens);
      assert.ok(
        Math.abs((data[0].embedding[1]?.[2] ?? 0) - (own.data[own.dimension + 2] ?? 1)) < 1e-4,
      );
      const usage = many.json['usage'] as { prompt_tokens: number };
      assert.equal(
        usage.prompt_tokens,
        data.reduce((sum, { shape }) => sum + (shape[0] ?? 0), 0),
      );
    });

    it('the openai client, which asks for base64, gets the same numbers', async () => {
      const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
      const { data } = await client.embeddings.create({ model: 'tiny', input: dataUrl(PHOTO) });
      const plain = await post(server, '/v1/embeddings', { input: dataUrl(PHOTO) });
      const [want] = plain.json['data'] as Embedding[];
      assert.equal(data[0]?.embedding.length, want?.embedding.length);
      data[0]?.embedding.forEach((value, at) =>
        assert.ok(Math.abs(value - (want?.embedding[at] ?? NaN)) < 1e-6),
      );
    });

    for (const [name, body, code, param] of [
      ['no input', {}, 'invalid_value', 'input'],
      ['an empty list', { input: [] }, 'invalid_value', 'input'],
      ['a text', { input: 'a face' }, 'unsupported_input', 'input'],
      ['a text in a list', { input: ['a face'] }, 'unsupported_input', 'input[0]'],
      [
        'a text part',
        { input: { content: [{ type: 'text', text: 'x' }] } },
        'unsupported_input',
        'input.content',
      ],
      ['an address', { input: 'https://a.example/x.png' }, 'invalid_image_url', 'input'],
      [
        'dimensions',
        { input: dataUrl(PHOTO), dimensions: 8 },
        'unsupported_parameter',
        'dimensions',
      ],
      ['a pooling', { input: dataUrl(PHOTO), pooling: 'max' }, 'invalid_value', 'pooling'],
      ['nine pictures', { input: Array(9).fill(dataUrl(PHOTO)) }, 'too_many_images', 'input'],
    ] as const) {
      it(`refuses ${name}`, async () => {
        const reply = await post(server, '/v1/embeddings', body);
        assert.deepEqual(refusalOf(reply), [400, code, param]);
      });
    }
  });

  describe('/v1/plan', () => {
    interface Planned {
      readonly columns: number;
      readonly rows: number;
      readonly tiles: number;
      readonly thumbnail: boolean;
      readonly width: number;
      readonly height: number;
      readonly boxes: readonly (readonly number[])[];
    }

    it('tells tiles, boxes and tokens of what an answer then has, and runs nothing', async () => {
      const { steps } = await model.stats();
      const asked = { images: [dataUrl(TILED)], question: 'Who is this?' };
      const { json } = await post(server, '/v1/plan', asked);
      assert.equal((await model.stats()).steps, steps);
      const [plan] = json['images'] as Planned[];
      assert.ok(plan);
      const { columns, rows, width, height, boxes } = plan;
      assert.ok(columns * rows > 1 && plan.thumbnail);
      assert.equal(plan.tiles, columns * rows + 1);
      assert.equal(boxes.length, plan.tiles);
      const area = boxes.slice(0, -1).reduce((sum, [, , w = 0, h = 0]) => sum + w * h, 0);
      assert.ok(Math.abs(area - width * height) < 1e-6 * area);
      assert.deepEqual(boxes.at(-1), [0, 0, width, height]);
      const answer = await post(server, CHAT, {
        messages: [question('Who is this?', TILED)],
        max_tokens: 1,
      });
      const usage = answer.json['usage'] as { prompt_tokens: number };
      assert.equal(json['prompt_tokens'], usage.prompt_tokens);
      assert.deepEqual((answer.json['facellm'] as { tiles: number[] }).tiles, [plan.tiles]);
      assert.equal(json['fits'], true);
    });

    it('tiles as asked, pictures alone, and what does not fit', async () => {
      const off = await post(server, '/v1/plan', { images: [dataUrl(TILED)], tiles: 'off' });
      const [plan] = off.json['images'] as Planned[];
      assert.deepEqual([plan?.tiles, plan?.thumbnail, plan?.boxes.length], [1, false, 1]);
      const few = await serveTiny(model, { limits: { tiles: 2 } });
      const many = await post(few, '/v1/plan', { messages: [question('x', TILED)] });
      assert.equal(many.json['fits'], false);
      await few.close();
    });

    it('refuses nothing at all, and what is no picture', async () => {
      assert.deepEqual(refusalOf(await post(server, '/v1/plan', {})), [
        ...[400, 'invalid_value', 'images'],
      ]);
      const bad = await post(server, '/v1/plan', { images: ['file:///etc/passwd'] });
      assert.deepEqual(refusalOf(bad), [400, 'invalid_image_url', 'images[0]']);
    });
  });
});

describe('serving: adapters', () => {
  let model: FaceLlm;
  let root: string;
  let server: RunningServer;
  const [admin, asks] = [createKey('admin', ['infer', 'admin']), createKey('asks')];
  const as = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });
  const asAdmin = as(admin.key);
  const load = (name: unknown, headers = asAdmin): Promise<Reply> =>
    post(server, '/v1/adapters', { name }, headers);
  const remove = (path: string, headers = asAdmin): Promise<Reply> =>
    request(server.url + path, { method: 'DELETE', headers });
  const ask = async (body: object): Promise<string> => {
    const reply = await post(
      server,
      CHAT,
      { messages: [question()], max_tokens: 8, ...body },
      asAdmin,
    );
    assert.equal(reply.status, 200, reply.text);
    return (reply.json['choices'] as { message: { content: string } }[])[0]?.message.content ?? '';
  };
  const ids = async (): Promise<string[]> => {
    const { json } = await request(`${server.url}/v1/models`, { headers: asAdmin });
    return (json['data'] as { id: string }[]).map(({ id }) => id);
  };

  before(async () => {
    root = mkdtempSync(join(tmpdir(), 'facellm-serving-'));
    await writeAdapter(CHECKPOINT, join(root, 'faces', 'smile'), { seed: 11, b: 0.3 });
    await writeAdapter(CHECKPOINT, join(root, 'faces', 'hat'), { seed: 12, b: 0.3 });
    mkdirSync(join(root, 'faces', 'broken'));
    writeFileSync(join(root, 'faces', 'broken', 'adapter_config.json'), '{');
    cpSync(join(root, 'faces', 'smile'), join(root, 'outside'), { recursive: true });
    symlinkSync(join(root, 'outside'), join(root, 'faces', 'link'));
    model = await loadTiny();
    await model.loadAdapter(join(root, 'faces', 'smile'));
    server = await serveTiny(model, {
      adaptersRoot: join(root, 'faces'),
      apiKeys: [admin.line, asks.line],
    });
  });
  after(async () => {
    await server.close();
    await model.dispose();
    rmSync(root, { recursive: true });
  });

  it('an adapter is a model of its own: by its id, or beside the base', async () => {
    assert.deepEqual(await ids(), ['tiny', 'smile']);
    const entry = await request(`${server.url}/v1/models/smile`, { headers: asAdmin });
    assert.deepEqual(
      [entry.json['parent'], (entry.json['facellm'] as { adapter: object }).adapter],
      ['tiny', { touches_vision: false }],
    );
    const own = await ask({ model: 'smile' });
    const [adapter] = model.adapters;
    assert.ok(adapter);
    const library = await model
      .ask({ image: PHOTO, question: 'Who is this?', maxNewTokens: 8, adapters: adapter })
      .result();
    assert.equal(own, library.text);
    assert.equal(await ask({ adapters: ['smile'] }), own);
    assert.notEqual(await ask({}), own);
  });

  it('is loaded by name, works, and is unloaded once who has it is through', async () => {
    const loaded = await load('hat');
    assert.deepEqual(
      [loaded.status, loaded.json['id'], loaded.json['parent']],
      [200, 'hat', 'tiny'],
    );
    assert.deepEqual(await ids(), ['tiny', 'smile', 'hat']);
    assert.notEqual(await ask({ model: 'hat' }), await ask({}));
    assert.deepEqual(refusalOf(await load('hat')), [400, 'invalid_value', 'name']);
    const under = ask({ model: 'hat', max_tokens: 2000, min_tokens: 2000 });
    await until(async () => (await model.stats()).runningRows === 1);
    const gone = remove('/v1/adapters/hat');
    await until(async () => (await ids()).length === 2);
    const late = await post(server, CHAT, { model: 'hat', messages: [question()] }, asAdmin);
    assert.deepEqual(refusalOf(late), [404, 'model_not_found', 'model']);
    await under;
    assert.deepEqual((await gone).json, { id: 'hat', object: 'model', deleted: true });
    assert.equal((await request(`${server.url}/ready`)).status, 200);
    assert.equal((await load('hat')).status, 200);
    assert.equal((await remove('/v1/adapters/hat')).status, 200);
  });

  it('nothing but plain names below the folder, nobody without the right', async () => {
    for (const name of ['..', '.', '../outside', '/etc', 'a/b', 'hat/', '', 'a\0b', '%2e%2e', 7]) {
      assert.deepEqual(refusalOf(await load(name)), [400, 'invalid_value', 'name'], String(name));
    }
    for (const name of ['nothing', 'link', 'adapter_config.json']) {
      assert.deepEqual(refusalOf(await load(name)), [404, 'model_not_found', 'name'], name);
    }
    const broken = await load('broken');
    assert.deepEqual(refusalOf(broken), [400, 'invalid_adapter', 'name']);
    assert.ok(!broken.text.includes(root));
    assert.equal((await load('hat', as(asks.key))).status, 403);
    assert.equal((await remove('/v1/adapters/smile', as(asks.key))).status, 403);
    assert.equal((await remove('/v1/cache', as(asks.key))).status, 403);
    assert.equal((await remove('/v1/adapters/nothing')).status, 404);
    assert.equal((await remove('/v1/adapters/tiny')).status, 400);
  });

  it('forgets prompts and pictures', async () => {
    await ask({});
    assert.ok((await model.stats()).cachedBlocks > 0);
    assert.equal((await remove('/v1/cache')).status, 200);
    const { cachedBlocks, cachedImages } = await model.stats();
    assert.deepEqual([cachedBlocks, cachedImages], [0, 0]);
  });

  it('is off without a folder', async () => {
    await using plain = await serveTiny(model);
    for (const [method, path] of [
      ['POST', '/v1/adapters'],
      ['DELETE', '/v1/adapters/smile'],
      ['DELETE', '/v1/cache'],
    ] as const) {
      const reply = await request(plain.url + path, { method });
      assert.deepEqual([reply.status, errorOf(reply)['code']], [404, 'unsupported_endpoint']);
    }
  });
});
