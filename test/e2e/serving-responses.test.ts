/** `/v1/responses` by the openai SDK and raw: the same answer as a chat completion, streamed and whole; what is refused. */
import assert from 'node:assert/strict';

import OpenAI from 'openai';
import { zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';

import type { FaceLlm } from '../../lib/index.js';
import { ApiError } from '../../lib/serving/api-error.js';
import type { RunningServer } from '../../lib/serving/index.js';
import { convertResponses } from '../../lib/serving/responses-request.js';
import { dataUrl, errorOf, loadTiny, PHOTO, post, question, serveTiny } from '../support/server.js';

const PATH = '/v1/responses';
const part = { type: 'input_image', image_url: dataUrl(PHOTO), detail: 'low' } as const;
const ask = (text: string) =>
  [{ role: 'user', content: [part, { type: 'input_text', text }] }] as const;

describe('serving: responses', () => {
  let model: FaceLlm;
  let server: RunningServer;
  let client: OpenAI;
  before(async () => {
    model = await loadTiny();
    server = await serveTiny(model);
    client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
  });
  after(async () => {
    await server.close();
    await model.dispose();
  });

  const request = () => ({
    model: 'tiny',
    instructions: 'Be short.',
    input: [...ask('Who is this?')] as never,
    max_output_tokens: 6,
    temperature: 0,
  });

  it('answers as the chat completion of the same question does', async () => {
    const response = await client.responses.create(request());
    const chat = await post(server, '/v1/chat/completions', {
      messages: [{ role: 'system', content: 'Be short.' }, question('Who is this?')],
      ...{ max_tokens: 6, tiles: 'off' },
    });
    const [choice] = chat.json['choices'] as {
      message: { content: string };
      finish_reason: string;
    }[];
    assert.equal(response.output_text, choice?.message.content);
    assert.equal(choice?.finish_reason, 'length');
    assert.equal(response.status, 'incomplete');
    assert.deepEqual(response.incomplete_details, { reason: 'max_output_tokens' });
    assert.equal(response.instructions, 'Be short.');
    const usage = chat.json['usage'] as Record<string, number>;
    assert.equal(response.usage?.input_tokens, usage['prompt_tokens']);
    assert.equal(response.usage?.output_tokens, usage['completion_tokens']);
    assert.equal((response as { readonly store?: boolean }).store, false);
  });

  it('streams events whose texts are the whole answer, in their order', async () => {
    const whole = await client.responses.create(request());
    const stream = await client.responses.create({ ...request(), stream: true });
    const events: OpenAI.Responses.ResponseStreamEvent[] = [];
    for await (const event of stream) events.push(event);
    const types = events.map(({ type }) => type).filter((type, i, all) => all[i - 1] !== type);
    assert.deepEqual(types, [
      ...['response.created', 'response.in_progress', 'response.output_item.added'],
      ...['response.content_part.added', 'response.output_text.delta', 'response.output_text.done'],
      ...['response.content_part.done', 'response.output_item.done', 'response.incomplete'],
    ]);
    assert.deepEqual(
      events.map(({ sequence_number: at }) => at),
      events.map((_, i) => i),
    );
    const deltas = events.map((event) =>
      event.type === 'response.output_text.delta' ? event.delta : '',
    );
    assert.equal(deltas.join(''), whole.output_text);
    const last = events.at(-1);
    assert.ok(last?.type === 'response.incomplete');
    assert.deepEqual(last.response.usage?.output_tokens, whole.usage?.output_tokens);
    // The SDK's own accumulator takes them, too.
    const final = await client.responses.stream(request()).finalResponse();
    assert.equal(final.output_text, whole.output_text);
  });

  it('gives a parsed object of a schema, and log-probabilities where they are asked for', async () => {
    const format = zodTextFormat(z.object({ smiling: z.boolean() }), 'face');
    const whole = { ...request(), max_output_tokens: 100 };
    const parsed = await client.responses.parse({ ...whole, text: { format } });
    assert.equal(typeof parsed.output_parsed?.smiling, 'boolean');
    const listed = await client.responses.create({
      ...request(),
      ...{ include: ['message.output_text.logprobs'], top_logprobs: 2 },
    });
    const [item] = listed.output;
    const content = item?.type === 'message' ? item.content[0] : undefined;
    assert.ok(content?.type === 'output_text');
    assert.ok((content.logprobs?.length ?? 0) > 0);
    assert.equal(content.logprobs?.[0]?.top_logprobs.length, 2);
  });

  it('takes an earlier answer back as a turn', async () => {
    const input = [
      ...ask('Who is this?'),
      {
        type: 'message',
        role: 'assistant',
        id: 'msg_1',
        status: 'completed',
        content: [{ type: 'output_text', text: 'Nobody.', annotations: [] }],
      },
      { role: 'user', content: 'Sure?' },
    ];
    const reply = await post(server, PATH, { input, max_output_tokens: 2 });
    assert.equal(reply.status, 200, reply.text);
  });

  const text = { input: 'Hi?', max_output_tokens: 2 };
  const refused: readonly (readonly [string, object, string, string])[] = [
    ['no input', {}, 'invalid_value', 'input'],
    ['store', { ...text, store: true }, 'unsupported_parameter', 'store'],
    [
      'an earlier response',
      { ...text, previous_response_id: 'r' },
      'unsupported_parameter',
      'previous_response_id',
    ],
    ['a conversation', { ...text, conversation: 'c' }, 'unsupported_parameter', 'conversation'],
    ['tools', { ...text, tools: [{ type: 'web_search' }] }, 'unsupported_parameter', 'tools'],
    ['background', { ...text, background: true }, 'unsupported_parameter', 'background'],
    ['reasoning', { ...text, reasoning: { effort: 'low' } }, 'unsupported_parameter', 'reasoning'],
    ['truncation', { ...text, truncation: 'auto' }, 'unsupported_parameter', 'truncation'],
    [
      'other includes',
      { ...text, include: ['file_search_call.results'] },
      'unsupported_parameter',
      'include',
    ],
    [
      'verbosity',
      { ...text, text: { verbosity: 'low' } },
      'unsupported_parameter',
      'text.verbosity',
    ],
    [
      'a form that is none',
      { ...text, text: { format: { type: 'grammar' } } },
      'unsupported_parameter',
      'text.format',
    ],
    ['a typo', { ...text, max_output_token: 2 }, 'unknown_parameter', 'max_output_token'],
    ['chat fields', { ...text, messages: [] }, 'unknown_parameter', 'messages'],
    ['too many tokens', { ...text, max_output_tokens: 5000 }, 'invalid_value', 'max_output_tokens'],
    [
      'a call of a function',
      { input: [{ type: 'function_call', name: 'f' }] },
      'unsupported_content_part',
      'input[0]',
    ],
    [
      'a file',
      { input: [{ role: 'user', content: [{ type: 'input_file', file_id: 'f' }] }] },
      'unsupported_content_part',
      'input[0].content[0]',
    ],
    [
      "a picture's address, by its own place behind instructions",
      {
        instructions: 'x',
        input: [
          {
            role: 'user',
            content: [{ type: 'input_image', image_url: 'https://a.example/x.png' }],
          },
        ],
      },
      'invalid_image_url',
      'input[0].content[0].image_url',
    ],
    ['a role', { input: [{ role: 'boss', content: 'x' }] }, 'invalid_value', 'input[0].role'],
  ];
  for (const [name, body, code, param] of refused) {
    it(`refuses ${name} by name`, async () => {
      const reply = await post(server, PATH, body);
      assert.equal(reply.status, 400, reply.text);
      assert.deepEqual([errorOf(reply)['code'], errorOf(reply)['param']], [code, param]);
    });
  }

  it("names this protocol's fields where a chat's are at fault", async () => {
    const reply = await post(server, PATH, { ...text, probabilities: true });
    assert.match(String(errorOf(reply)['message']), /expected text\.format with/);
    const body = { ...text, instructions: 'x' };
    const { rename } = convertResponses({ body, pictures: [] }, false);
    const named = (param: string) =>
      rename(new ApiError(400, 'invalid_value', `${param}: wrong`, { param }));
    for (const [chat, own] of [
      ['messages[0].content', 'instructions'],
      ['messages[1].content', 'input[0].content'],
      ['response_format', 'text.format'],
      ['response_format.json_schema.schema', 'text.format.schema'],
    ] as const) {
      assert.deepEqual([named(chat).param, named(chat).message], [own, `${own}: wrong`]);
    }
  });

  it('keeps nothing that could be fetched', async () => {
    await assert.rejects(client.responses.retrieve('resp_1'), { status: 404 });
  });
});
