/** Answers of a form over HTTP: JSON schemas, choices, whole and streamed, by OpenAI's client and the AI SDK; refusals by name. */
import assert from 'node:assert/strict';

import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, Output, streamText } from 'ai';
import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';

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
  serveTiny,
} from '../support/server.js';

const CHAT = '/v1/chat/completions';
const FACE = z.object({
  gender: z.enum(['male', 'female']),
  age: z.int().min(0).max(99),
  hat: z.boolean().nullable(),
});
const SCHEMA = z.toJSONSchema(FACE) as Record<string, unknown>;
const format = (schema: unknown): object => ({
  type: 'json_schema',
  json_schema: { name: 'face', strict: true, schema },
});
const ASKED = { messages: [question('Describe this face.')] };

interface Field {
  readonly path: string;
  readonly value: unknown;
  readonly probability: number;
  readonly mass: number;
  readonly alternatives: readonly { readonly value: unknown; readonly probability: number }[];
}

describe('serving: forms', () => {
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

  const contentOf = (json: Readonly<Record<string, unknown>>): string =>
    (json['choices'] as { message: { content: string } }[])[0]?.message.content ?? '';

  it('/v1/extract gives what the library gives', async () => {
    const mine = await model.extract({
      ...{ image: PHOTO, question: 'Describe this face.', schema: FACE },
    });
    const { status, json, text } = await post(server, '/v1/extract', {
      images: [dataUrl(PHOTO)],
      question: 'Describe this face.',
      schema: SCHEMA,
    });
    assert.equal(status, 200, text);
    assert.deepEqual(
      [json['value'], json['text'], json['complete']],
      [mine.value, mine.text, true],
    );
    const fields = json['fields'] as Field[];
    fields.forEach(({ path, value, probability, mass, alternatives }, i) => {
      const own = mine.fields[i];
      assert.deepEqual([path, value], [own?.path, own?.value]);
      assert.ok(Math.abs(probability - (own?.probability ?? 2)) < 1e-4);
      assert.ok(Math.abs(mass - (own?.mass ?? 2)) < 1e-4);
      assert.equal(alternatives.length, own?.alternatives.length);
    });
    const usage = json['usage'] as { prompt_tokens: number; completion_tokens: number };
    assert.deepEqual(
      [usage.prompt_tokens, usage.completion_tokens],
      [mine.promptTokens, mine.tokenIds.length],
    );
  });

  it('response_format: the same, whole and streamed, several, and its fields where asked for', async () => {
    const body = { ...ASKED, response_format: format(SCHEMA), probabilities: true };
    const { json } = await post(server, CHAT, body);
    const { value, text } = await model.extract({
      ...{ image: PHOTO, question: 'Describe this face.', schema: FACE },
    });
    assert.equal(contentOf(json), text);
    const own = json['facellm'] as { complete: boolean; structured: string; fields: Field[] };
    assert.deepEqual([own.complete, own.structured], [true, 'fields']);
    assert.deepEqual(
      own.fields.map((field) => field.value),
      Object.values(value ?? {}),
    );
    const events = eventsOf(
      (await post(server, CHAT, { ...body, stream: true })).text,
    ) as unknown as {
      choices: { delta: { content?: string }; finish_reason: string | null }[];
      facellm?: { fields: Field[] };
    }[];
    const pieces = events.flatMap(({ choices }) => choices[0]?.delta.content ?? []);
    assert.equal(pieces.join(''), text);
    assert.ok(pieces.length > 3);
    assert.equal(events.at(-1)?.choices[0]?.finish_reason, 'stop');
    assert.equal(events.at(-1)?.facellm?.fields.length, 3);
    const noted = FACE.extend({ note: z.string().max(5) });
    const drawn = {
      ...{ ...body, response_format: format(z.toJSONSchema(noted)) },
      ...{ n: 3, temperature: 2, seed: 4 },
    };
    const many = await post(server, CHAT, drawn);
    const again = await post(server, CHAT, drawn);
    const texts = (many.json['choices'] as { message: { content: string } }[]).map(
      ({ message }) => message.content,
    );
    assert.equal(new Set(texts).size, 3);
    texts.forEach((one) => noted.parse(JSON.parse(one)));
    assert.deepEqual(again.json['choices'], many.json['choices']);
  });

  it('a limit leaves a beginning, and says so', async () => {
    const { json } = await post(server, CHAT, {
      ...{ ...ASKED, response_format: format(SCHEMA), max_tokens: 4 },
    });
    const [choice] = json['choices'] as { finish_reason: string }[];
    assert.equal(choice?.finish_reason, 'length');
    assert.equal((json['facellm'] as { complete: boolean }).complete, false);
  });

  it("vLLM's structured_outputs: a choice is the whole answer, as probable as choose says", async () => {
    const choices = ['smiling', 'not smiling', 'neither'];
    const { json } = await post(server, CHAT, {
      ...{ ...ASKED, structured_outputs: { choice: choices }, probabilities: true },
    });
    const mine = await model.choose({ image: PHOTO, question: 'Describe this face.', choices });
    assert.equal(contentOf(json), mine.best.text);
    const [field] = (json['facellm'] as { fields: Field[] }).fields;
    assert.ok(Math.abs((field?.probability ?? 2) - mine.best.probability) < 1e-4);
    assert.ok(Math.abs((field?.mass ?? 2) - mine.mass) < 1e-4 * mine.mass + 1e-6);
    const object = await post(server, CHAT, { ...ASKED, structured_outputs: { json: SCHEMA } });
    FACE.parse(JSON.parse(contentOf(object.json)));
  });

  it('patterns, regex and any object, whole and streamed', async () => {
    const schema = {
      type: 'object',
      properties: {
        id: { type: 'string', pattern: '^[A-F]{2}-\\d{4}$' },
        hat: { type: 'boolean' },
      },
      required: ['id', 'hat'],
    };
    const body = { ...ASKED, response_format: format(schema), probabilities: true };
    const { json, text } = await post(server, CHAT, body);
    const value = JSON.parse(contentOf(json)) as { id: string };
    assert.match(value.id, /^[A-F]{2}-\d{4}$/, text);
    const { structured, fields } = json['facellm'] as { structured: string; fields: Field[] };
    assert.equal(structured, 'grammar');
    assert.deepEqual(
      fields.map(({ path }) => path),
      ['/id', '/hat'],
    );
    const streamed = await post(server, CHAT, { ...body, stream: true });
    const pieces = (
      eventsOf(streamed.text) as unknown as { choices: { delta: { content?: string } }[] }[]
    ).flatMap(({ choices }) => choices[0]?.delta.content ?? []);
    assert.equal(pieces.join(''), contentOf(json));
    const regex = await post(server, CHAT, {
      ...ASKED,
      structured_outputs: { regex: '(a|b){3}\\.' },
    });
    assert.match(contentOf(regex.json), /^(a|b){3}\.$/, regex.text);
    const object = { ...ASKED, response_format: { type: 'json_object' }, max_tokens: 40 };
    assert.match(contentOf((await post(server, CHAT, object)).json), /^\{/);
    const asked = {
      input: 'Describe it.',
      text: { format: { type: 'json_object' } },
      max_output_tokens: 20,
    };
    const { status, text: told } = await post(server, '/v1/responses', asked);
    assert.equal(status, 200, told);
    const complex = format({ type: 'string', pattern: '^((a|b|ab){0,100}c?){0,60}$' });
    const refusal = await post(server, CHAT, { ...ASKED, response_format: complex, stream: true });
    if (refusal.status !== 200) {
      assert.deepEqual(
        [refusal.status, errorOf(refusal)['code']],
        [400, 'json_schema_too_complex'],
      );
    }
  });

  const refused: readonly (readonly [name: string, more: object, code: string, param: string])[] = [
    [
      'a keyword',
      { response_format: format({ type: 'string', pattern: 'a(?=b)' }) },
      'unsupported_json_schema',
      '#/pattern',
    ],
    [
      'no schema at all',
      { response_format: format(undefined) },
      'invalid_value',
      'response_format.json_schema.schema',
    ],
    ['a wrong one', { response_format: format({ enum: [] }) }, 'invalid_json_schema', '#/enum'],
    [
      'a wide one',
      { response_format: format({ enum: Array(2000).fill(1) }) },
      'json_schema_too_complex',
      '#/enum',
    ],
    [
      'a regex that is none',
      { structured_outputs: { regex: '(' } },
      'invalid_json_schema',
      'structured_outputs.regex',
    ],
    [
      'a grammar of its own',
      { structured_outputs: { grammar: 'root ::= "a"' } },
      'unsupported_parameter',
      'structured_outputs',
    ],
    [
      'one choice',
      { structured_outputs: { choice: ['a'] } },
      'invalid_value',
      'structured_outputs.choice',
    ],
    [
      'stop beside it',
      { response_format: format(SCHEMA), stop: 'x' },
      'unsupported_parameter',
      'stop',
    ],
    [
      'logprobs beside it',
      { response_format: format(SCHEMA), logprobs: true },
      'unsupported_parameter',
      'logprobs',
    ],
    [
      'top_k beside it',
      { response_format: format(SCHEMA), top_k: 5 },
      'unsupported_parameter',
      'top_k',
    ],
    ['probabilities alone', { probabilities: true }, 'invalid_value', 'probabilities'],
  ];
  for (const [name, more, code, param] of refused) {
    it(`refuses ${name}`, async () => {
      for (const stream of [false, true]) {
        const reply = await post(server, CHAT, { ...ASKED, ...more, stream });
        const error = errorOf(reply);
        assert.deepEqual([reply.status, error['code'], error['param']], [400, code, param]);
      }
    });
  }

  it('what is off is no form', async () => {
    for (const more of [
      { response_format: { type: 'text' } },
      { response_format: null, structured_outputs: {} },
      { response_format: format(SCHEMA), top_p: 1, logit_bias: {}, stop: null },
    ]) {
      assert.equal((await post(server, CHAT, { ...ASKED, max_tokens: 40, ...more })).status, 200);
    }
  });

  it('the openai client parses a zod type', async () => {
    const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
    const { choices } = await client.chat.completions.parse({
      model: 'tiny',
      messages: [{ role: 'user', content: 'Describe a face.' }],
      response_format: zodResponseFormat(FACE, 'face'),
    });
    const age: number | undefined = choices[0]?.message.parsed?.age;
    assert.ok(age !== undefined && age >= 0);
  });

  describe('the AI SDK', () => {
    const provider = () =>
      createOpenAICompatible({
        ...{ name: 'facellm', baseURL: `${server.url}/v1` },
        ...{ includeUsage: true, supportsStructuredOutputs: true },
      });
    const asked = {
      messages: [
        {
          role: 'user' as const,
          content: [
            { type: 'text' as const, text: 'Who is this?' },
            { type: 'image' as const, image: new Uint8Array(PHOTO), mediaType: 'image/png' },
          ],
        },
      ],
      ...{ maxOutputTokens: 8, maxRetries: 0 },
    };

    it('text, streamed text with its usage, an end by a signal', async () => {
      const chat = provider()('tiny');
      const whole = await generateText({ model: chat, ...asked });
      const streamed = streamText({ model: chat, ...asked });
      let text = '';
      for await (const piece of streamed.textStream) text += piece;
      assert.equal(text, whole.text);
      const usage = await streamed.usage;
      assert.deepEqual([usage.outputTokens, usage.inputTokens], [8, whole.usage.inputTokens]);
      const leave = new AbortController();
      const long = generateText({
        ...{ model: chat, ...asked, maxOutputTokens: 4000, abortSignal: leave.signal },
      });
      setTimeout(() => leave.abort(), 100);
      await assert.rejects(long);
    });

    it('an object of a zod type, and an option of ours', async () => {
      const { output } = await generateText({
        ...{ model: provider()('tiny'), ...asked, maxOutputTokens: 100 },
        output: Output.object({ schema: FACE }),
        providerOptions: { facellm: { tiles: 'off' } },
      });
      FACE.parse(output);
    });
  });
});
