/** Who may ask, from where, how much; who leaves frees what was held; an end that loses no answer. */
import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';

import OpenAI from 'openai';

import type { FaceLlm } from '../../lib/index.js';
import { createKey, type RunningServer, serve } from '../../lib/serving/index.js';
import {
  errorOf,
  loadTiny,
  post,
  postStream,
  question,
  request,
  serveTiny,
  until,
} from '../support/server.js';

const CHAT = '/v1/chat/completions';
const HI = { messages: [{ role: 'user', content: 'Hi?' }], max_tokens: 3 };

/** fetch writes Host and Origin itself. */
function rawGet(
  server: RunningServer,
  headers: Record<string, string>,
  method = 'GET',
): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest(
      `${server.url}/v1/models`,
      { headers, method, agent: false },
      (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      },
    );
    sent.on('error', reject).end();
  });
}

describe('serving: security and ends', () => {
  let model: FaceLlm;
  let server: RunningServer;
  before(async () => {
    model = await loadTiny();
    server = await serveTiny(model, {
      allowHosts: ['faces.example'],
      corsOrigins: ['https://ok.example'],
    });
  });
  after(async () => {
    await server.close();
    await model.dispose();
  });

  it('is called by its own names only', async () => {
    for (const [host, status] of [
      ['localhost', 200],
      ['127.0.0.1:1', 200],
      ['[::1]:80', 200],
      ['FACES.example', 200],
      ['evil.example', 403],
      ['localhost.evil.example', 403],
      ['10.0.0.1', 403],
      ['a b', 400],
    ] as const) {
      assert.equal(await rawGet(server, { host }), status, host);
    }
  });

  it('pages of elsewhere may not ask', async () => {
    for (const [origin, status] of [
      [server.url, 405],
      ['https://ok.example', 405],
      ['https://evil.example', 403],
      ['null', 403],
    ] as const) {
      assert.equal(await rawGet(server, { origin }, 'POST'), status, origin);
    }
  });

  it('keys: without, wrong and right ones; rights', async () => {
    const [asks, reads] = [createKey('asks'), createKey('reads', ['metrics'])];
    await using guarded = await serveTiny(model, {
      apiKeys: [asks.line, '', '# note', reads.line],
    });
    const as = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });
    for (const headers of [{}, as('x'), as(asks.key.slice(0, -1)), { authorization: asks.key }]) {
      const reply = await post(guarded, CHAT, HI, headers);
      assert.deepEqual([reply.status, errorOf(reply)['code']], [401, 'invalid_api_key']);
      assert.equal(reply.headers.get('www-authenticate'), 'Bearer');
      assert.equal((await request(`${guarded.url}/nope`, { headers })).status, 401);
    }
    assert.equal((await post(guarded, CHAT, HI, as(asks.key))).status, 200);
    assert.equal((await post(guarded, CHAT, HI, as(reads.key))).status, 403);
    assert.equal((await post(guarded, CHAT, { ...HI, priority: 1 }, as(asks.key))).status, 403);
    assert.equal((await request(`${guarded.url}/metrics`, { headers: as(reads.key) })).status, 200);
    assert.equal((await request(`${guarded.url}/metrics`, { headers: as(asks.key) })).status, 403);
    assert.equal((await request(`${guarded.url}/health`)).status, 200);
  });

  it('does not open to others without keys', async () => {
    const open = { model, host: '0.0.0.0', port: 0 };
    await assert.rejects(serve(open), { code: 'FACELLM_INVALID_ARGUMENT' });
    await assert.rejects(serve({ ...open, apiKeys: ['x:y'] }), {
      code: 'FACELLM_INVALID_ARGUMENT',
    });
  });

  it('nothing that was asked or answered stands in the log', async () => {
    const lines: string[] = [];
    await using logged = await serveTiny(model, { onLog: (line) => lines.push(line) });
    const secret = 'Mxyzptlk';
    const ok = await post(logged, CHAT, { ...HI, messages: [question(secret)], user: secret });
    await post(logged, CHAT, { ...HI, temperature: secret });
    const text =
      (ok.json['choices'] as { message: { content: string } }[])[0]?.message.content ?? '';
    await until(() => lines.length === 2);
    assert.ok(!lines.join('').includes(secret) && !lines.join('').includes(text));
    assert.match(lines[0] ?? '', /"status":200/);
  });

  it('a full queue is 429 at once, and says when to come back', async () => {
    await using full = await serveTiny(model, { load: { maxRows: 1 }, limits: { queue: 1 } });
    const replies = await Promise.all(
      Array.from({ length: 8 }, () => post(full, CHAT, { ...HI, max_tokens: 60 })),
    );
    const refused = replies.filter(({ status }) => status === 429);
    assert.ok(refused.length > 0 && replies.some(({ status }) => status === 200));
    assert.ok(replies.every(({ status }) => status === 200 || status === 429));
    assert.match(refused[0]?.headers.get('retry-after') ?? '', /^\d+$/);
  });

  it('a client that leaves frees its blocks, streamed or not', async () => {
    for (const stream of [true, false]) {
      const leave = new AbortController();
      const gone = request(server.url + CHAT, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ ...HI, max_tokens: 4000, min_tokens: 4000, stream }),
        signal: leave.signal,
      });
      await until(async () => (await model.stats()).runningRows === 1);
      leave.abort();
      await assert.rejects(gone);
      await until(async () => (await model.stats()).usedBlocks === 0);
    }
  });

  it('time runs out: 504 with no retry', async () => {
    const reply = await post(server, CHAT, { ...HI, max_tokens: 4000, timeout_ms: 300 });
    assert.deepEqual([reply.status, errorOf(reply)['code']], [504, 'generation_timeout']);
    assert.equal(reply.headers.get('x-should-retry'), 'false');
  });

  it('closing lets who is in finish, and ends who takes too long with an error', async () => {
    for (const [drainTimeout, max_tokens, end] of [
      [30_000, 200, /data: \[DONE\]\n\n$/],
      [1, 4000, /"shutting_down"\}\}\n\n$/],
    ] as const) {
      await using closing = await serveTiny(model, { limits: { drainTimeout } });
      const { rest } = await postStream(closing, CHAT, {
        ...HI,
        max_tokens,
        min_tokens: max_tokens,
      });
      await closing.close();
      assert.match(await rest(), end);
    }
  });

  it('the openai client: whole, streamed, errors, models', async () => {
    const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
    const asked = {
      model: 'tiny',
      messages: [{ role: 'user' as const, content: 'Hi?' }],
      max_tokens: 6,
    };
    const whole = await client.chat.completions.create(asked);
    let text = '';
    for await (const { choices } of await client.chat.completions.create({
      ...asked,
      stream: true,
    })) {
      text += choices[0]?.delta.content ?? '';
    }
    assert.equal(text, whole.choices[0]?.message.content);
    const helper = client.chat.completions.stream(asked);
    assert.equal((await helper.finalChatCompletion()).choices[0]?.message.content, text);
    assert.deepEqual(
      (await client.models.list()).data.map(({ id }) => id),
      ['tiny'],
    );
    await assert.rejects(
      client.chat.completions.create({ ...asked, model: 'x' }),
      OpenAI.NotFoundError,
    );
    await assert.rejects(
      client.chat.completions.create({ ...asked, n: 99 }),
      OpenAI.BadRequestError,
    );
  });
});
