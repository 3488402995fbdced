/** What hostile and broken clients send, and how they behave: refused in words, never a 5xx, and others do not notice. */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { promisify } from 'node:util';

import fc from 'fast-check';
import sharp from 'sharp';

import type { FaceLlm } from '../../lib/index.js';
import type { RunningServer } from '../../lib/serving/index.js';
import {
  dataUrl,
  errorOf,
  eventsOf,
  loadTiny,
  PHOTO,
  post,
  question,
  type Reply,
  request,
  serveTiny,
  until,
} from '../support/server.js';
import { skip } from '../support/skip.js';

const CHAT = '/v1/chat/completions';
const HI = { messages: [{ role: 'user', content: 'Hi?' }], max_tokens: 3 };

describe('serving: hostile clients', () => {
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

  const isIdle = async (): Promise<boolean> => {
    const { usedBlocks, pinnedImages, runningRows } = await model.stats();
    return usedBlocks === 0 && pinnedImages === 0 && runningRows === 0;
  };
  const ask = (url: unknown): Promise<Reply> =>
    post(server, CHAT, {
      messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }],
      max_tokens: 1,
    });

  describe('pictures', () => {
    /** A PNG whose header claims so many pixels. */
    const claiming = (width: number, height: number): Buffer => {
      const bytes = Buffer.from(PHOTO);
      bytes.writeUInt32BE(width, 16);
      bytes.writeUInt32BE(height, 20);
      return bytes;
    };
    const text = (content: string): Buffer => Buffer.from(content.padEnd(64, ' '));
    const files: readonly (readonly [
      name: string,
      bytes: () => Buffer | Promise<Buffer>,
      code: string,
    ])[] = [
      ['a header of 60,000 x 60,000', () => claiming(60_000, 60_000), 'image_too_large'],
      ['a side of 20,000', () => claiming(20_000, 1), 'image_too_large'],
      [
        'a bomb: 50.4 million equal pixels in a small file',
        () =>
          sharp({ create: { width: 7_100, height: 7_100, channels: 3, background: 'red' } })
            .png({ compressionLevel: 1 })
            .toBuffer(),
        'image_too_large',
      ],
      ['half a file', () => Buffer.from(PHOTO.subarray(0, PHOTO.length >> 1)), 'image_parse_error'],
      ['a header alone', () => Buffer.from(PHOTO.subarray(0, 33)), 'image_parse_error'],
      [
        'magic and noise',
        () => Buffer.concat([Buffer.from('\xff\xd8\xff\xe0', 'latin1'), Buffer.alloc(500, 7)]),
        'image_parse_error',
      ],
      [
        'SVG',
        () =>
          text('<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'),
        'unsupported_image_media_type',
      ],
      [
        'SVG behind a comment',
        () => text('<!-- \x89PNG --><svg/>'),
        'unsupported_image_media_type',
      ],
      ['PDF', () => text('%PDF-1.7'), 'unsupported_image_media_type'],
      [
        'a film',
        () => Buffer.concat([Buffer.from('\0\0\0\x18ftypmp42'), Buffer.alloc(64)]),
        'unsupported_image_media_type',
      ],
      ['an archive', () => text('PK\x03\x04'), 'unsupported_image_media_type'],
      [
        'TIFF without the flag',
        () => sharp(PHOTO).tiff().toBuffer(),
        'unsupported_image_media_type',
      ],
      ['a few bytes', () => Buffer.from('\x89PNG'), 'unsupported_image_media_type'],
    ];
    for (const [name, make, code] of files) {
      it(`${name}: ${code}`, async () => {
        const reply = await ask(dataUrl(await make()));
        assert.deepEqual([reply.status, errorOf(reply)['code']], [400, code], reply.text);
      });
    }

    it('no address is opened, whatever its form', async () => {
      for (const url of [
        ...['http://127.0.0.1/x.png', 'https://[::1]/', 'http://2130706433/', 'http://0x7f000001/'],
        ...[
          'http://0177.0.0.1/',
          'http://127.1/',
          'http://[::ffff:127.0.0.1]/',
          'https://a@b.example/',
        ],
        ...['http://169.254.169.254/latest/meta-data', 'https://localhost.evil.example/x.png'],
        ...[
          'file:///etc/passwd',
          'file://localhost/etc/passwd',
          'FILE:///etc/passwd',
          '/etc/passwd',
        ],
        ...[
          '../../etc/passwd',
          'ftp://a.example/x',
          'gopher://a.example',
          'blob:https://a.example/x',
        ],
        ...[
          'data:image/png,xx',
          'data:text/html;base64,PGI+',
          'javascript:alert(1)',
          '',
          ' ',
          7,
          null,
        ],
        ...[
          `sha256:${'0'.repeat(64)}`,
          '\0',
          'data:image/png;base64,',
          'data:image/png;base64,@@@@',
        ],
      ]) {
        const { status, json } = await ask(url);
        assert.equal(status, 400, String(url));
        assert.ok(!JSON.stringify(json).includes('passwd'));
      }
    });

    it('nor one of this machine where a host of it is named to be asked', async () => {
      await using fetching = await serveTiny(model, { imageHosts: ['localhost'] });
      const told = async (url: string): Promise<unknown> => {
        const part = { type: 'image_url', image_url: { url } };
        const messages = [{ role: 'user', content: [part, { type: 'text', text: 'Who?' }] }];
        return errorOf(await post(fetching, '/v1/chat/completions', { messages }))['code'];
      };
      assert.equal(await told('https://localhost/x.png'), 'failed_to_download_image');
      assert.equal(await told('https://other.example/x.png'), 'invalid_image_url');
      assert.equal(await told('http://localhost/x.png'), 'invalid_image_url');
    });
  });

  it('bodies with bytes changed, cut, doubled: never a 5xx, and nothing is left behind', async () => {
    const body = Buffer.from(
      JSON.stringify({ ...HI, messages: [question('Who?')], stop: ['x'], seed: 1, tiles: 'off' }),
    );
    const change = fc.record({
      at: fc.nat({ max: body.length - 1 }),
      byte: fc.nat({ max: 255 }),
      kind: fc.constantFrom('set', 'cut', 'double', 'insert'),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        let bytes = body;
        for (const { at, byte, kind } of changes) {
          const head = bytes.subarray(0, at);
          const rest = bytes.subarray(at);
          const one = Buffer.from([byte]);
          if (kind === 'set') bytes = Buffer.concat([head, one, rest.subarray(1)]);
          else if (kind === 'insert') bytes = Buffer.concat([head, one, rest]);
          else if (kind === 'cut') bytes = Buffer.from(head);
          else bytes = Buffer.concat([head, rest, rest]);
        }
        const { status, text } = await post(server, CHAT, bytes);
        assert.ok(status === 200 || (status >= 400 && status < 500), `${status} ${text}`);
      }),
      { numRuns: 300 },
    );
    await until(isIdle);
  });

  it('values of every kind in every field: 200 or a refusal that names it', async () => {
    const names = [
      ...['model', 'messages', 'max_tokens', 'temperature', 'top_p', 'top_k', 'min_p', 'n', 'stop'],
      ...[
        'seed',
        'stream',
        'stream_options',
        'logprobs',
        'top_logprobs',
        'response_format',
        'tiles',
      ],
      ...[
        'structured_outputs',
        'logit_bias',
        'template',
        'adapters',
        'priority',
        'timeout_ms',
        'tools',
      ],
    ];
    const values = fc.oneof(
      fc.jsonValue({ maxDepth: 3 }),
      fc.integer(),
      fc.constantFrom(-0, 1e308, ''),
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...names), values, async (name, value) => {
        const { status, json } = await post(server, CHAT, { ...HI, [name]: value });
        assert.ok(
          [200, 400, 404, 503, 504].includes(status),
          `${name} ${JSON.stringify(value)} ${status}`,
        );
        if (status === 400) assert.ok(errorOf({ json } as Reply)['message']);
      }),
      { numRuns: 300 },
    );
  });

  it('schemas at random: a refusal in words, or an answer', async () => {
    const keyword = fc.constantFrom(
      ...[
        'type',
        'enum',
        'const',
        'properties',
        'items',
        'anyOf',
        '$ref',
        'minimum',
        'pattern',
        'not',
      ],
      ...['required', 'maxItems', 'minLength', 'additionalProperties', 'prefixItems', '__proto__'],
    );
    const schema = fc.dictionary(
      keyword,
      fc.oneof(fc.constantFrom('object', 'string', '#', 'null'), fc.jsonValue({ maxDepth: 3 })),
    );
    await fc.assert(
      fc.asyncProperty(schema, async (one) => {
        const { status, text } = await post(server, '/v1/extract', {
          ...{ question: 'x', schema: one, max_tokens: 20 },
        });
        assert.ok(status === 200 || status === 400, `${JSON.stringify(one)} ${status} ${text}`);
      }),
      { numRuns: 200 },
    );
    await until(isIdle);
  });

  it('clients that stall in headers, body or reading are cut off; others are served meanwhile', async () => {
    await using strict = await serveTiny(model, {
      limits: { headerTimeout: 1000, bodyTimeout: 1500, stallTimeout: 1000 },
    });
    const { port } = new URL(strict.url);
    const body = JSON.stringify({ ...HI, max_tokens: 4000, min_tokens: 4000, stream: true });
    const head = `POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n`;
    const starts = [
      'POST /v1/chat',
      head,
      `${head}content-length: 500\r\n\r\n{"messages"`,
      `${head}transfer-encoding: chunked\r\n\r\n5\r\n{"mes`,
    ];
    const sockets: Socket[] = [];
    const closed = Array.from({ length: 40 }, (_, i) => {
      const socket = connect(Number(port), '127.0.0.1');
      sockets.push(socket);
      socket.on('error', () => {});
      socket.write(starts[i % starts.length] ?? '');
      socket.resume();
      return new Promise<void>((resolve) => socket.once('close', () => resolve()));
    });
    const deaf = connect(Number(port), '127.0.0.1');
    deaf.pause();
    deaf.write(`${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
    for (let i = 0; i < 5; i++) assert.equal((await post(strict, CHAT, HI)).status, 200);
    assert.equal((await request(`${strict.url}/health`)).status, 200);
    await Promise.all(closed);
    deaf.destroy();
    await until(isIdle);
  });

  it('bodies that never end take no place from others, and no end waits for them', async () => {
    await using strict = await serveTiny(model, {
      load: { maxRows: 1 },
      limits: { queue: 1, bodyTimeout: 600_000, drainTimeout: 600_000 },
    });
    const { port } = new URL(strict.url);
    const head = `POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n`;
    const replies = Array.from({ length: 10 }, async () => {
      const socket = connect(Number(port), '127.0.0.1');
      socket.write(`${head}content-length: 500\r\n\r\n{"messages"`);
      let text = '';
      for await (const chunk of socket) text += String(chunk);
      return text;
    });
    await until(async () => {
      const { text } = await request(`${strict.url}/metrics`);
      return text.includes('facellm:num_requests_waiting_by_reason{reason="body"} 10\n');
    });
    for (let i = 0; i < 3; i++) assert.equal((await post(strict, CHAT, HI)).status, 200);
    assert.equal(await strict.close(), true);
    for (const text of await Promise.all(replies)) assert.match(text, /^HTTP\/1\.1 503 /);
  });

  it('a flood: who is let in is answered, the rest is told when to come back, nothing grows', async () => {
    await using small = await serveTiny(model, { load: { maxRows: 2 }, limits: { queue: 8 } });
    // Both rows are taken by answers that go on, or whoever comes slowly is let in one after another.
    const leave = new AbortController();
    const long = Array.from({ length: 2 }, () =>
      request(small.url + CHAT, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ ...HI, max_tokens: 2000, min_tokens: 2000, stream: true }),
        signal: leave.signal,
      }).catch(() => undefined),
    );
    await until(async () => (await model.stats()).runningRows === 2);
    const flood = Array.from({ length: 300 }, () => post(small, CHAT, { ...HI, max_tokens: 20 }));
    await Promise.race(flood);
    leave.abort();
    const replies = await Promise.all(flood);
    await Promise.all(long);
    const counts = new Map<number, number>();
    for (const { status } of replies) counts.set(status, (counts.get(status) ?? 0) + 1);
    assert.deepEqual([...counts.keys()].sort(), [200, 429]);
    const refused = replies.filter(({ status }) => status === 429);
    assert.ok(refused.every(({ headers }) => Number(headers.get('retry-after')) >= 1));
    assert.equal((await post(small, CHAT, HI)).status, 200);
    await until(isIdle);
  });

  it('clients that leave at any moment leave nothing behind', async () => {
    const lengths = Array.from({ length: 60 }, (_, i) => i * 4);
    await Promise.all(
      lengths.map(async (ms) => {
        const leave = new AbortController();
        setTimeout(() => leave.abort(), ms);
        await request(server.url + CHAT, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({
            ...{ ...HI, messages: [question('Who?')], max_tokens: 2000, min_tokens: 2000 },
            stream: ms % 8 === 0,
          }),
          signal: leave.signal,
        }).catch(() => undefined);
      }),
    );
    await until(isIdle);
    const { json } = await request(`${server.url}/ready`);
    assert.equal(json['status'], 'ready');
  });

  it('ended under load, every stream ends with [DONE] or an error event', async () => {
    for (let round = 0; round < 5; round++) {
      const ending = await serveTiny(model, { limits: { drainTimeout: round * 30 + 1 } });
      let ended = 0;
      const streams = Array.from({ length: 6 }, (_, i) =>
        post(ending, CHAT, {
          ...HI,
          max_tokens: 10 + i * 60,
          min_tokens: 10 + i * 60,
          stream: true,
        })
          .finally(() => ended++)
          .catch((error: unknown) => {
            // Its connection was closed before its question had come: no answer had begun.
            const { message, cause } = error as Error & { cause?: { code?: string } };
            if (message !== 'fetch failed' || cause?.code !== 'ECONNRESET') throw error;
            return undefined;
          }),
      );
      await until(async () => ended > 0 || (await model.stats()).runningRows > 0);
      await ending.close();
      for (const answer of await Promise.all(streams)) {
        if (answer === undefined || answer.status === 503) continue;
        const { text } = answer;
        const last = eventsOf(text).at(-1) as { error?: object } | undefined;
        assert.ok(text.endsWith('data: [DONE]\n\n') || last?.error !== undefined, text.slice(-200));
      }
    }
    await until(isIdle);
  });
});

describe('serving: clients of other languages', () => {
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
  const run = promisify(execFile);

  it('curl: a stream, line by line', async function () {
    if (spawnSync('curl', ['--version']).status !== 0) skip(this, 'needs curl');
    const { stdout } = await run('curl', [
      ...['-sN', server.url + CHAT, '-H', 'content-type: application/json'],
      ...['-d', JSON.stringify({ ...HI, stream: true })],
    ]);
    assert.match(stdout, /^data: \{[^]*data: \[DONE\]\n\n$/);
    assert.equal(eventsOf(stdout).length, 5);
  });

  it("Python's openai: whole, streamed, an error by its class", async function () {
    const python = process.env['FACELLM_OPENAI_PYTHON'] ?? 'python3';
    if (spawnSync(python, ['-c', 'import openai']).status !== 0) {
      skip(this, 'needs openai for Python (FACELLM_OPENAI_PYTHON names one)');
    }
    const program = `
import sys, openai
client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="none", max_retries=0)
asked = dict(model="tiny", messages=[{"role": "user", "content": [
    {"type": "image_url", "image_url": {"url": sys.argv[2]}}, {"type": "text", "text": "Who?"}]}], max_tokens=6)
whole = client.chat.completions.create(**asked).choices[0].message.content
pieces = [c.choices[0].delta.content or "" for c in client.chat.completions.create(**asked, stream=True)]
assert "".join(pieces) == whole
assert len(client.embeddings.create(model="tiny", input=sys.argv[2]).data[0].embedding) > 8
try:
    client.chat.completions.create(**{**asked, "model": "x"})
    raise SystemExit("no error")
except openai.NotFoundError as error:
    assert error.code == "model_not_found"
print(whole)
`;
    const { stdout } = await run(python, ['-c', program, server.url, dataUrl(PHOTO)]);
    const mine = await model.ask({ image: PHOTO, question: 'Who?', maxNewTokens: 6 }).result();
    assert.equal(stdout, `${mine.text}\n`);
  });
});
