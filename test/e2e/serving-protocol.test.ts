/** Each rule of the server's protocol (docs/serving.md), on the golden checkpoint over loopback. */
import assert from 'node:assert/strict';

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
  request,
  serveTiny,
  TILED,
} from '../support/server.js';

const CHAT = '/v1/chat/completions';
const user = (content: unknown): object => ({ role: 'user', content });
const picture = (url: unknown, detail?: string): object => ({
  type: 'image_url',
  image_url: { url, detail },
});
const HI = { messages: [user('Hi?')], max_tokens: 3 };

describe('serving: protocol', () => {
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

  type Refusal = readonly [
    name: string,
    body: unknown,
    status: number,
    code: string,
    param?: string,
  ];
  const fields: readonly Refusal[] = [
    ['no messages', {}, 400, 'invalid_value', 'messages'],
    ['an empty list', { messages: [] }, 400, 'invalid_value', 'messages'],
    ['a list', [], 400, 'invalid_value'],
    ['no JSON', '{"messages": [', 400, 'invalid_value'],
    ['65 deep', `{"messages":${'['.repeat(65)}${']'.repeat(65)}}`, 400, 'invalid_value'],
    ['a typo', { ...HI, max_token: 3 }, 400, 'unknown_parameter', 'max_token'],
    ['__proto__', '{"__proto__": {}, "messages": []}', 400, 'unknown_parameter', '__proto__'],
    ['another model', { ...HI, model: 'gpt' }, 404, 'model_not_found', 'model'],
    ['another adapter', { ...HI, adapters: ['x'] }, 404, 'model_not_found', 'adapters'],
    ['max_tokens 0', { ...HI, max_tokens: 0 }, 400, 'invalid_value', 'max_tokens'],
    ['max_tokens 5000', { ...HI, max_tokens: 5000 }, 400, 'invalid_value', 'max_tokens'],
    ['temperature 3', { ...HI, temperature: 3 }, 400, 'invalid_value', 'temperature'],
    ['temperature as text', { ...HI, temperature: '1' }, 400, 'invalid_value', 'temperature'],
    ['top_p 2', { ...HI, top_p: 2 }, 400, 'invalid_value', 'top_p'],
    ['n 9', { ...HI, n: 9 }, 400, 'invalid_value', 'n'],
    ['top_logprobs alone', { ...HI, top_logprobs: 2 }, 400, 'invalid_value', 'top_logprobs'],
    ['bias 101', { ...HI, logit_bias: { 5: 101 } }, 400, 'invalid_value', 'logit_bias'],
    ['bias of a word', { ...HI, logit_bias: { a: 1 } }, 400, 'invalid_value', 'logit_bias'],
    ['bias of no id', { ...HI, logit_bias: { 99999999: 1 } }, 400, 'invalid_value'],
    ['min_tokens', { ...HI, max_tokens: 2, min_tokens: 3 }, 400, 'invalid_value', 'min_tokens'],
    ['penalty', { ...HI, presence_penalty: 3 }, 400, 'invalid_value', 'presence_penalty'],
    ['seed 2^53', { ...HI, seed: 2 ** 53 }, 400, 'invalid_value', 'seed'],
    ['five stops', { ...HI, stop: ['a', 'b', 'c', 'd', 'e'] }, 400, 'invalid_value', 'stop'],
    ['tools', { ...HI, tools: [{}] }, 400, 'unsupported_parameter', 'tools'],
    ['store', { ...HI, store: true }, 400, 'unsupported_parameter', 'store'],
    ['cache_salt', { ...HI, cache_salt: 'x' }, 400, 'unsupported_parameter', 'cache_salt'],
    [
      'JSON answers',
      { ...HI, response_format: { type: 'xml' } },
      400,
      'unsupported_parameter',
      'response_format',
    ],
    ['sound', { ...HI, modalities: ['text', 'audio'] }, 400, 'unsupported_parameter', 'modalities'],
    [
      'obfuscation',
      { ...HI, stream: true, stream_options: { include_obfuscation: true } },
      400,
      'unsupported_parameter',
      'stream_options.include_obfuscation',
    ],
    ['stream_options alone', { ...HI, stream_options: {} }, 400, 'invalid_value', 'stream_options'],
    [
      'a tool turn',
      { messages: [{ role: 'tool', content: 'x' }] },
      400,
      'unsupported_content_part',
      'messages[0]',
    ],
    [
      'a role',
      { messages: [{ role: 'x', content: 'x' }] },
      400,
      'invalid_value',
      'messages[0].role',
    ],
    [
      'sound in a part',
      { messages: [user([{ type: 'input_audio' }])] },
      400,
      'unsupported_content_part',
      'messages[0].content[0]',
    ],
    [
      'a picture of the assistant',
      { messages: [user('a'), { role: 'assistant', content: [picture(dataUrl(PHOTO))] }] },
      400,
      'unsupported_content_part',
      'messages[1].content[0]',
    ],
    [
      'a late system turn',
      { messages: [user('a'), { role: 'system', content: 'x' }] },
      400,
      'invalid_value',
      'messages',
    ],
    [
      'the last turn not a user',
      { messages: [user('a'), { role: 'assistant', content: 'x' }] },
      400,
      'invalid_value',
    ],
    [
      'a prompt too long',
      { messages: [user('word '.repeat(5000))] },
      400,
      'context_length_exceeded',
      'messages',
    ],
    [
      'two details',
      { messages: [user([picture(dataUrl(PHOTO), 'low'), picture(dataUrl(PHOTO), 'high')])] },
      400,
      'invalid_value',
      'messages',
    ],
    [
      'nine pictures',
      { messages: [user(Array(9).fill(picture(dataUrl(PHOTO))))] },
      400,
      'too_many_images',
      'messages',
    ],
    ['tiles upside down', { ...HI, tiles: { min: 4, max: 2 } }, 400, 'invalid_value', 'tiles'],
    [
      'too many tiles',
      { messages: [user(Array(8).fill(picture(dataUrl(TILED))))], tiles: { min: 9, max: 12 } },
      400,
      'too_many_tiles',
      'tiles',
    ],
  ];
  for (const [name, body, status, code, param] of fields) {
    it(`refuses ${name}, streamed or not`, async () => {
      const reply = await post(server, CHAT, body);
      const error = errorOf(reply);
      assert.deepEqual([reply.status, error['code']], [status, code], reply.text);
      if (param !== undefined) assert.equal(error['param'], param);
      assert.deepEqual(Object.keys(error), ['message', 'type', 'param', 'code']);
      if (typeof body !== 'object' || Array.isArray(body) || 'stream_options' in (body as object))
        return;
      const streamed = await post(server, CHAT, { ...body, stream: true });
      assert.deepEqual([streamed.status, errorOf(streamed)['code']], [status, code]);
    });
  }

  const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><rect/></svg>');
  const huge = Buffer.from(PHOTO);
  huge.writeUInt32BE(60_000, 16);
  huge.writeUInt32BE(60_000, 20);
  const b64 = PHOTO.toString('base64');
  const bad: readonly (readonly [string, unknown, string])[] = [
    ['a web address', 'https://example.com/a.png', 'invalid_image_url'],
    ['a file', 'file:///etc/passwd', 'invalid_image_url'],
    ['a path', '/etc/passwd', 'invalid_image_url'],
    ['bare base64', b64, 'invalid_image_url'],
    ['a number', 0, 'invalid_image_url'],
    ['nothing', null, 'invalid_image_url'],
    ['no base64', 'data:image/png,abc', 'invalid_base64_image'],
    [
      'a hole in base64',
      `data:image/png;base64,${b64.slice(0, 40)} ${b64.slice(41)}`,
      'invalid_base64_image',
    ],
    ['base64 of URLs', 'data:image/png;base64,ab-_', 'invalid_base64_image'],
    ['base64 cut short', `data:image/png;base64,${b64.slice(0, -1)}`, 'invalid_base64_image'],
    ['an empty file', 'data:image/png;base64,', 'empty_image_file'],
    ['SVG', dataUrl(svg, 'svg+xml'), 'unsupported_image_media_type'],
    ['SVG called PNG', dataUrl(svg), 'unsupported_image_media_type'],
    ['PDF', dataUrl(Buffer.from('%PDF-1.7 0123456789')), 'unsupported_image_media_type'],
    [
      'TIFF, which is off',
      dataUrl(Buffer.from('II*\x00aaaaaaaaaaaa')),
      'unsupported_image_media_type',
    ],
    ['a bomb', dataUrl(huge), 'image_too_large'],
    ['a file cut short', dataUrl(PHOTO.subarray(0, PHOTO.length >> 1)), 'image_parse_error'],
    ['a beginning only', dataUrl(PHOTO.subarray(0, 20)), 'image_parse_error'],
  ];
  for (const [name, url, code] of bad) {
    it(`takes no picture that is ${name}`, async () => {
      const reply = await post(server, CHAT, { messages: [user([picture(url)])] });
      assert.deepEqual([reply.status, errorOf(reply)['code']], [400, code], reply.text);
      assert.ok(!reply.text.includes('passwd') && !reply.text.includes('example.com'));
    });
  }

  it('a file over its bytes, and a body over its own', async () => {
    await using small = await serveTiny(model, { limits: { imageBytes: 1000, bodyBytes: 8000 } });
    const one = await post(small, CHAT, { messages: [question()] });
    assert.equal(errorOf(one)['code'], 'image_file_too_large');
    for (const body of [
      'x'.repeat(9000),
      new ReadableStream({
        start(c) {
          c.enqueue(Buffer.alloc(9000));
          c.close();
        },
      }),
    ]) {
      const reply = await request(small.url + CHAT, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
        duplex: 'half',
      });
      assert.deepEqual([reply.status, errorOf(reply)['code']], [413, 'request_too_large']);
    }
  });

  it('what says "off" is no refusal, nor what changes no answer', async () => {
    const off = {
      tools: [],
      tool_choice: 'none',
      functions: null,
      reasoning_effort: 'none',
      logit_bias: {},
      n: 1,
      frequency_penalty: 0,
      response_format: { type: 'text' },
      modalities: ['text'],
    };
    const ignored = {
      user: 'u',
      metadata: { a: 'b' },
      store: false,
      service_tier: 'auto',
      parallel_tool_calls: true,
      prompt_cache_key: 'k',
    };
    const reply = await post(server, CHAT, { ...HI, ...off, ...ignored });
    assert.equal(reply.status, 200, reply.text);
  });

  it('--unknown-fields ignore lists them', async () => {
    await using lax = await serveTiny(model, { unknownFields: 'ignore' });
    const reply = await post(lax, CHAT, { ...HI, mystery: 1, 'a\nb': 2 });
    assert.equal(reply.status, 200);
    assert.equal(reply.headers.get('x-facellm-ignored'), 'mystery, a?b');
  });

  it('answers as the library does, large bodies too, and a stream adds up to the whole', async () => {
    const body = { messages: [question('Describe.', TILED)], max_tokens: 12, logprobs: true };
    const padded = { ...body, user: 'x'.repeat(400_000) };
    const [whole, far] = [await post(server, CHAT, body), await post(server, CHAT, padded)];
    const mine = await model
      .ask({ image: TILED, question: 'Describe.', maxNewTokens: 12, doSample: false })
      .result();
    type Whole = {
      choices: [
        { message: { content: string }; finish_reason: string; logprobs: { content: unknown[] } },
      ];
      usage: Record<string, number>;
      facellm: { prompt_hash: string; tiles: number[] };
    };
    const json = whole.json as unknown as Whole;
    assert.equal(json.choices[0].message.content, mine.text);
    assert.equal(json.facellm.prompt_hash, mine.promptHash);
    assert.equal((far.json as unknown as Whole).choices[0].message.content, mine.text);
    assert.equal(json.usage['prompt_tokens'], mine.promptTokens);
    assert.equal(json.usage['completion_tokens'], mine.tokenIds.length);
    const streamed = await post(server, CHAT, {
      ...body,
      stream: true,
      stream_options: { include_usage: true },
    });
    assert.match(streamed.headers.get('content-type') ?? '', /^text\/event-stream/);
    assert.ok(streamed.text.endsWith('data: [DONE]\n\n'));
    type Chunk = {
      id: string;
      choices: {
        delta: { role?: string; content?: string };
        finish_reason: string | null;
        logprobs?: { content: unknown[] } | null;
      }[];
      usage: Record<string, number> | null;
    };
    const events = eventsOf(streamed.text) as unknown as Chunk[];
    assert.equal(new Set(events.map(({ id }) => id)).size, 1);
    const choices = events.flatMap((event) => event.choices);
    assert.deepEqual(choices[0]?.delta, { role: 'assistant', content: '' });
    const texts = choices.slice(1).flatMap(({ delta }) => delta.content ?? []);
    assert.equal(texts.join(''), mine.text);
    assert.ok(texts.every((text) => text !== ''));
    assert.deepEqual(
      choices.flatMap((one) => one.logprobs?.content ?? []),
      (far.json as unknown as Whole).choices[0].logprobs.content,
    );
    assert.deepEqual(
      choices.map((one) => one.finish_reason).filter((one) => one !== null),
      [json.choices[0].finish_reason],
    );
    assert.deepEqual(events.at(-1)?.choices, []);
    assert.deepEqual(
      events.slice(0, -1).map(({ usage }) => usage),
      events.slice(1).map(() => null),
    );
    assert.equal(events.at(-1)?.usage?.['completion_tokens'], mine.tokenIds.length);
    const plain = eventsOf((await post(server, CHAT, { ...body, stream: true })).text);
    assert.ok(plain.every((event) => !('usage' in event)));
    const counted = eventsOf(
      (
        await post(server, CHAT, {
          ...body,
          stream: true,
          stream_options: { continuous_usage_stats: true },
        })
      ).text,
    ) as unknown as Chunk[];
    assert.ok(counted.every(({ usage }) => (usage?.['prompt_tokens'] ?? 0) > 0));
  });

  it('several answers, their most probable tokens, bias and least length, as the library gives them', async () => {
    const body = {
      ...{ ...HI, max_tokens: 6, n: 3, temperature: 1.2, seed: 5, min_tokens: 6 },
      ...{ logprobs: true, top_logprobs: 2, frequency_penalty: 0.5, logit_bias: { 40: -100 } },
    };
    const mine = await model
      .chat([{ role: 'user', content: 'Hello' }], {
        ...{ maxNewTokens: 6, n: 3, temperature: 1.2, seed: 5, minTokens: 6 },
        ...{ topK: 0, topLogProbs: 2, frequencyPenalty: 0.5, logitBias: { 40: -100 } },
      })
      .result();
    type Choice = {
      index: number;
      message: { content: string };
      logprobs: { content: { logprob: number; top_logprobs: { logprob: number }[] }[] };
    };
    const reply = await post(server, CHAT, { ...body, messages: [user('Hello')] });
    assert.equal(reply.status, 200, reply.text);
    const choices = reply.json['choices'] as Choice[];
    assert.deepEqual(
      choices.map(({ index, message }) => [index, message.content]),
      mine.answers.map(({ text }, index) => [index, text]),
    );
    for (const { logprobs } of choices) {
      assert.ok(logprobs.content.every(({ top_logprobs: top }) => top.length === 2));
    }
    assert.equal(reply.json['system_fingerprint'], `fp_${model.fingerprint}`);
    assert.equal(
      (reply.json['usage'] as { completion_tokens: number }).completion_tokens,
      mine.answers.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0),
    );
    const streamed = await post(server, CHAT, {
      ...{ ...body, messages: [user('Hello')], stream: true },
    });
    const chunks = eventsOf(streamed.text) as unknown as {
      choices: { index: number; delta: { content?: string } }[];
    }[];
    const texts = ['', '', ''];
    for (const { index, delta } of chunks.flatMap((chunk) => chunk.choices)) {
      texts[index] = (texts[index] ?? '') + (delta.content ?? '');
    }
    assert.deepEqual(
      texts,
      mine.answers.map(({ text }) => text),
    );
  });

  it('a seed draws the same again, also a negative one; a stop string ends the answer and is named', async () => {
    for (const seed of [7, -7]) {
      const body = { ...HI, max_tokens: 8, temperature: 1.5, seed };
      const [a, b] = [await post(server, CHAT, body), await post(server, CHAT, body)];
      assert.deepEqual(a.json['choices'], b.json['choices']);
      assert.equal((a.json['facellm'] as { seed: number }).seed, seed);
    }
    type Choices = {
      message: { content: string };
      stop_reason: string | null;
      finish_reason: string;
    }[];
    const [whole] = (await post(server, CHAT, { ...HI, max_tokens: 12 })).json[
      'choices'
    ] as Choices;
    const text = whole?.message.content ?? '';
    const stop = text.slice(4, 6);
    const [cut] = (await post(server, CHAT, { ...HI, max_tokens: 12, stop })).json[
      'choices'
    ] as Choices;
    assert.deepEqual([cut?.stop_reason, cut?.finish_reason], [stop, 'stop']);
    assert.equal(cut?.message.content, text.slice(0, text.indexOf(stop)));
  });

  it("choose gives the library's probabilities", async () => {
    const body = {
      images: [dataUrl(PHOTO)],
      question: 'Smiling?',
      choices: ['Yes', { text: 'No', label: 'n' }],
    };
    const reply = await post(server, '/v1/choose', body);
    const mine = await model.choose({ image: PHOTO, question: 'Smiling?', choices: ['Yes', 'No'] });
    type Choice = { logprob: number; label: string | null };
    const [result] = reply.json['results'] as { best: number; mass: number; choices: Choice[] }[];
    assert.deepEqual(
      result?.choices.map(({ label }) => label),
      [null, 'n'],
    );
    result?.choices.forEach(({ logprob }, i) => {
      assert.ok(Math.abs(logprob - (mine.choices[i]?.logProb ?? 0)) < 1e-4);
    });
    assert.equal(result?.best, mine.choices.indexOf(mine.best));
    const asTurns = await post(server, '/v1/choose', {
      messages: [question('Smiling?')],
      choices: ['Yes', 'No'],
    });
    assert.equal((asTurns.json['facellm'] as { prompt_hash: string }).prompt_hash, mine.promptHash);
    for (const [bad, code, param] of [
      [{ ...body, choices: ['a'] }, 'invalid_value', 'choices'],
      [{ ...body, choices: ['a', 'a'] }, 'invalid_value', 'choices[1]'],
      [{ ...body, question: undefined }, 'invalid_value', 'question'],
      [{ ...body, temperature: 1 }, 'unknown_parameter', 'temperature'],
    ] as const) {
      const { status, json } = await post(server, '/v1/choose', bad);
      const error = json['error'] as Record<string, string>;
      assert.deepEqual([status, error['code'], error['param']], [400, code, param]);
    }
  });

  it('addresses: unknown ones, other methods, other types of content', async () => {
    for (const [method, path, status, code] of [
      ['GET', '/nope', 404, 'unsupported_endpoint'],
      ['POST', '/chat/completions', 404, 'unsupported_endpoint'],
      ['POST', '/v1/completions', 404, 'unsupported_endpoint'],
      ['GET', CHAT, 405, 'method_not_allowed'],
      ['DELETE', '/v1/models', 405, 'method_not_allowed'],
      ['GET', '/v1/models/other', 404, 'model_not_found'],
      ['POST', CHAT, 415, 'unsupported_media_type'],
    ] as const) {
      const reply = await request(server.url + path, { method });
      assert.deepEqual([reply.status, errorOf(reply)['code']], [status, code], `${method} ${path}`);
    }
    for (const path of ['/health', '/ready'])
      assert.equal((await request(server.url + path)).status, 200);
  });

  it('a request id is kept where it is plain, else made', async () => {
    const mine = await post(server, CHAT, HI, { 'x-request-id': 'a.b-c_1' });
    assert.equal(mine.headers.get('x-request-id'), 'a.b-c_1');
    const other = await post(server, CHAT, HI, { 'x-request-id': 'a b' });
    assert.match(other.headers.get('x-request-id') ?? '', /^[0-9a-f-]{36}$/);
    for (const header of ['openai-processing-ms', 'x-facellm-queue-ms'])
      assert.ok(mine.headers.has(header));
    assert.equal(mine.headers.get('x-content-type-options'), 'nosniff');
  });

  it('metrics are Prometheus text: no name twice, buckets that only grow', async () => {
    const { text } = await request(`${server.url}/metrics`);
    const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name]) => name);
    assert.equal(new Set(types).size, types.length);
    const seen = new Set<string>();
    const last = new Map<string, number>();
    for (const line of text.split('\n').filter((one) => one !== '' && !one.startsWith('#'))) {
      const match = /^([a-zA-Z_:][\w:]*)(\{[^}]*\})? (-?[\d.e+-]+|NaN|[+-]Inf)$/.exec(line);
      assert.ok(match, line);
      const [, name = '', labels = '', value = ''] = match;
      assert.ok(!seen.has(name + labels), line);
      seen.add(name + labels);
      if (!name.endsWith('_bucket')) continue;
      const series = name + labels.replace(/,?le="[^"]*"/, '');
      assert.ok(Number(value) >= (last.get(series) ?? 0), line);
      last.set(series, Number(value));
    }
    for (const name of [
      'num_requests_running',
      'num_requests_waiting',
      'prompt_tokens_total',
      'time_to_first_token_seconds',
      'kv_cache_usage_perc',
    ]) {
      assert.ok(types.includes(`facellm:${name}`), name);
    }
  });
});
