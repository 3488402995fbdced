/** Bodies of the forms that OpenAI publishes: the compiler holds what this server sends to the types of its package, which are made of its schema. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import ts from 'typescript';

import type { FaceLlm } from '../../lib/index.js';
import { ApiError } from '../../lib/serving/api-error.js';
import type { RunningServer } from '../../lib/serving/index.js';
import { ResponsesAnswer } from '../../lib/serving/responses-answer.js';
import {
  dataUrl,
  eventsOf,
  loadTiny,
  PHOTO,
  post,
  question,
  request,
  serveTiny,
  until,
} from '../support/server.js';

const CHAT = '/v1/chat/completions';
const ROOT = join(import.meta.dirname, '..', '..');
const ASKED = { model: 'tiny', messages: [{ role: 'user' as const, content: 'Hi?' }] };
const SCHEMA = { type: 'object', properties: { a: { type: 'boolean' } }, required: ['a'] };

/** Fields of ours, which its types do not know. */
const OURS = [
  ...['facellm', 'stop_reason', 'image_tokens', 'text_tokens', 'allowed', 'mask_mass'],
  ...['max_model_len', 'parent', 'shape'],
];
/** Sent by OpenAI as well, and not in its types. */
const UNTYPED = ['store'];

/** What the package's client adds to what it was sent. */
const SENT = `
type Sent<R> = R extends { output_text: string } ? Omit<R, 'output_text'> : never;
type Event<E> = E extends { response: infer R } ? Omit<E, 'response'> & { response: Sent<R> } : E;
`;
const COMPLETION = 'OpenAI.Chat.Completions.ChatCompletion';
const CHUNK = 'OpenAI.Chat.Completions.ChatCompletionChunk';
const RESPONSE = 'Sent<OpenAI.Responses.Response>';
const ERROR = 'OpenAI.ErrorObject';
const FILE = 'OpenAI.Files.FileObject';
const BATCH = 'OpenAI.Batches.Batch';
/** The rest of a list's envelope is not in the package's types. */
const LISTED = ['object', 'first_id', 'last_id'];
const listOf = (page: string): string => `Pick<${page}, 'data' | 'has_more'>`;
/** By its type's name, so that a compiler's message names what is wrong with it. */
const eventType = (type: string): string =>
  `Event<Extract<OpenAI.Responses.ResponseStreamEvent, { type: '${type}' }>>`;

type Body = readonly [type: string, body: unknown];

function without(value: unknown, names: readonly string[]): unknown {
  if (Array.isArray(value)) return value.map((one) => without(one, names));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => !names.includes(name))
      .map(([name, one]) => [name, without(one, names)]),
  );
}
const ofList = (body: object): object =>
  Object.fromEntries(Object.entries(body).filter(([name]) => !LISTED.includes(name)));

describe('serving: bodies are of the forms that OpenAI publishes', () => {
  let model: FaceLlm;
  let server: RunningServer;
  let folder: string;
  let kept: string;
  before(async () => {
    // Beside node_modules, where the compiler finds the types.
    folder = mkdtempSync(join(ROOT, 'node_modules', '.cache', 'openai-types-'));
    kept = mkdtempSync(join(tmpdir(), 'facellm-forms-'));
    model = await loadTiny();
    server = await serveTiny(model, { batches: kept });
  });
  after(async () => {
    await server.close();
    await model.dispose();
    for (const one of [folder, kept]) rmSync(one, { recursive: true, force: true });
  });

  /** What the compiler says of values written down as such a type: of a missing, a wrong and an unknown field. Each with its place. */
  function faultsOf(bodies: readonly Body[]): string[] {
    const file = join(folder, 'bodies.ts');
    const lines = bodies.map(([type, body], i) => {
      const typed = without(body, [...OURS, ...UNTYPED]);
      return `export const body${i}: ${type} = ${JSON.stringify(typed, null, 1)};`;
    });
    const text = ["import type OpenAI from 'openai';", SENT, ...lines].join('\n');
    writeFileSync(file, text);
    const program = ts.createProgram([file], {
      ...{ strict: true, noEmit: true, skipLibCheck: true, types: ['node'] },
      ...{ module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.ES2023 },
      lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
      exactOptionalPropertyTypes: true,
    });
    return [...program.getSyntacticDiagnostics(), ...program.getSemanticDiagnostics()].map(
      ({ messageText, start }) => {
        const place = text.slice(0, start).split('export const ').length - 2;
        return `${place} ${bodies[place]?.[0]}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
      },
    );
  }

  const json = async (path: string, body: object): Promise<Readonly<Record<string, unknown>>> =>
    (await post(server, path, body)).json;
  const get = async (path: string, method = 'GET'): Promise<Readonly<Record<string, unknown>>> =>
    (await request(server.url + path, { method })).json;

  it('chat completions, chunks, models, embeddings, errors', async () => {
    const chat = (more: object): Promise<unknown> =>
      json(CHAT, { ...ASKED, max_tokens: 4, ...more });
    const chunks = async (more: object): Promise<readonly Body[]> => {
      const { text } = await post(server, CHAT, { ...ASKED, max_tokens: 4, stream: true, ...more });
      return eventsOf(text).map((one) => [CHUNK, one]);
    };
    const logprobs = { logprobs: true, top_logprobs: 2 };
    const format = { type: 'json_schema', json_schema: { name: 'a', schema: SCHEMA } };
    const picture = { input: dataUrl(PHOTO), encoding_format: 'float' };
    const bodies: readonly Body[] = [
      [COMPLETION, await chat({})],
      [COMPLETION, await chat({ ...logprobs, n: 2, temperature: 1 })],
      [COMPLETION, await chat({ messages: [question('Who?')], stop: 'e' })],
      [COMPLETION, await chat({ response_format: format, max_tokens: 50 })],
      ...(await chunks({ ...logprobs, stream_options: { include_usage: true } })),
      ...(await chunks({ n: 2, temperature: 1 })),
      ['OpenAI.Models.ModelsPage["data"]', (await get('/v1/models'))['data']],
      ['OpenAI.Models.Model', await get('/v1/models/tiny')],
      ['OpenAI.CreateEmbeddingResponse', await json('/v1/embeddings', picture)],
      [ERROR, (await json(CHAT, { ...ASKED, n: 99 }))['error']],
    ];
    assert.ok(bodies.length > 15);
    assert.deepEqual(faultsOf(bodies), []);
  });

  it('responses, and each event of their streams', async () => {
    const logprobs = { include: ['message.output_text.logprobs'], top_logprobs: 2 };
    const format = { type: 'json_schema', name: 'a', schema: SCHEMA, strict: true };
    const formed = { text: { format }, max_output_tokens: 50 };
    const asked = (more: object): object => ({ input: 'Hi?', max_output_tokens: 4, ...more });
    const whole = (more: object): Promise<object> => json('/v1/responses', asked(more));
    const events = async (more: object): Promise<readonly Body[]> => {
      const { text } = await post(server, '/v1/responses', asked({ ...more, stream: true }));
      return text
        .split('\n')
        .filter((line) => line.startsWith('data: '))
        .map((line) => JSON.parse(line.slice(6)) as { readonly type: string })
        .map((event) => [eventType(event.type), event]);
    };
    // Made as the route makes it: one that is sent needs an answer that fails under way.
    const [failure] = new ResponsesAnswer({}).failure(new ApiError(504, 'a', 'b'), 'id');
    const streamed: readonly Body[] = [
      ...(await events(logprobs)),
      ...(await events(formed)),
      [eventType('error'), JSON.parse(failure)],
    ];
    assert.deepEqual(
      [...new Set(streamed.map(([type]) => /'([^']+)' }>>$/.exec(type)?.[1]))].sort(),
      [
        ...['error', 'response.completed', 'response.content_part.added'],
        ...['response.content_part.done', 'response.created', 'response.in_progress'],
        ...['response.incomplete', 'response.output_item.added', 'response.output_item.done'],
        ...['response.output_text.delta', 'response.output_text.done'],
      ],
    );
    const bodies: readonly Body[] = [
      [RESPONSE, await whole({})],
      [RESPONSE, await whole({ ...logprobs, temperature: 1, top_p: 0.9, metadata: { a: 'b' } })],
      [RESPONSE, await whole({ ...formed, instructions: 'Be short.' })],
      [ERROR, (await json('/v1/responses', asked({ store: true })))['error']],
      ...streamed,
    ];
    assert.deepEqual(faultsOf(bodies), []);
  });

  it('files and batches, from their making to their end, and the answers in them', async () => {
    const upload = async (lines: readonly object[]): Promise<object & { readonly id: string }> => {
      const body = new FormData();
      body.set('purpose', 'batch');
      const text = lines.map((line) => JSON.stringify(line)).join('\n');
      body.set('file', new Blob([text]), 'in.jsonl');
      const { json: file } = await request(`${server.url}/v1/files`, { method: 'POST', body });
      return file as never;
    };
    const line = (id: string, more: object = {}): object => ({
      ...{ custom_id: id, method: 'POST', url: CHAT },
      body: { ...ASKED, max_tokens: 4, ...more },
    });
    const begin = async (id: string): Promise<Batch> =>
      (await json('/v1/batches', {
        ...{ input_file_id: id, endpoint: CHAT, completion_window: '24h' },
      })) as never;
    interface Batch {
      readonly id: string;
      readonly status: string;
      readonly output_file_id: string;
      readonly error_file_id: string;
    }
    const ended = async (id: string): Promise<Batch> => {
      let batch = (await get(`/v1/batches/${id}`)) as never as Batch;
      await until(async () => {
        batch = (await get(`/v1/batches/${id}`)) as never;
        return ['completed', 'failed', 'expired', 'cancelled'].includes(batch.status);
      });
      return batch;
    };
    const emptyFiles = await get('/v1/files');
    const emptyBatches = await get('/v1/batches');
    const good = await upload([line('a'), line('bad', { temperature: 9 })]);
    const begun = await begin(good.id);
    const done = await ended(begun.id);
    const wrong = await ended((await begin((await upload([{ custom_id: 'a' }])).id)).id);
    const long = { max_tokens: 4000, min_tokens: 4000 };
    const stopped = await begin((await upload([line('a', long), line('b', long)])).id);
    const stopping = await get(`/v1/batches/${stopped.id}/cancel`, 'POST');
    const cancelled = await ended(stopped.id);
    assert.deepEqual(
      [done, wrong, cancelled].map(({ status }) => status),
      ['completed', 'failed', 'cancelled'],
    );
    assert.match(String(stopping['status']), /^cancell(ing|ed)$/);
    const answers = async (id: string): Promise<Readonly<Record<string, object>>> => {
      const { text } = await request(`${server.url}/v1/files/${id}/content`);
      const { response } = JSON.parse(text) as { response: { body: Record<string, object> } };
      return response.body;
    };
    const bodies: readonly Body[] = [
      [listOf('OpenAI.Files.FileObjectsPage'), ofList(emptyFiles)],
      [listOf('OpenAI.Batches.BatchesPage'), ofList(emptyBatches)],
      [FILE, good],
      ...[begun, done, wrong, stopping, cancelled].map((batch): Body => [BATCH, batch]),
      // The lines themselves are not in the package's types: what they hold is.
      [COMPLETION, await answers(done.output_file_id)],
      [ERROR, (await answers(done.error_file_id))['error']],
      [FILE, await get(`/v1/files/${done.output_file_id}`)],
      [listOf('OpenAI.Files.FileObjectsPage'), ofList(await get('/v1/files'))],
      [listOf('OpenAI.Batches.BatchesPage'), ofList(await get('/v1/batches?limit=2'))],
      ['OpenAI.Files.FileDeleted', await get(`/v1/files/${good.id}`, 'DELETE')],
      [ERROR, (await get('/v1/batches/none'))['error']],
    ];
    assert.deepEqual(faultsOf(bodies), []);
  });

  it('a wrong body is told', () => {
    const [usage, choices] = [{}, [{ index: 0, finish_reason: 'over' }]];
    const body = { id: 1, object: 'chat.completion', created: 1, model: 'x', choices, usage };
    const faults = faultsOf([[COMPLETION, body]]);
    assert.ok(faults.length >= 3, faults.join('\n'));
    // One fault each, so that each is told by itself.
    const delta = { ...{ item_id: 'm', output_index: 0, content_index: 0, sequence_number: 0 } };
    const type = 'response.output_text.delta';
    const logprobs = [{ token: 'a', logprob: 0, bytes: [97] }];
    const file = { id: 'f', object: 'file', bytes: 1, created_at: 1, filename: 'a' };
    const batch = { id: 'b', object: 'batch', completion_window: '24h', created_at: 1 };
    const begun = { ...batch, endpoint: CHAT, input_file_id: 'f', status: 'validating' };
    const wrong: readonly Body[] = [
      [eventType(type), { ...delta, type, delta: 'a' }],
      [eventType(type), { ...delta, type, delta: 'a', logprobs }],
      [
        eventType('response.created'),
        { type: 'response.created', sequence_number: 0, response: {} },
      ],
      [eventType('response.unknown'), { type: 'response.unknown', sequence_number: 0 }],
      [RESPONSE, { id: 'r', object: 'response' }],
      [FILE, { ...file, purpose: 'batch', status: 'done' }],
      [BATCH, { ...begun, output_file_id: null }],
      [BATCH, { ...begun, owner: 'a' }],
      [listOf('OpenAI.Batches.BatchesPage'), { data: [begun] }],
    ];
    const told = new Set(faultsOf(wrong).map((fault) => Number.parseInt(fault)));
    assert.deepEqual([...told], [...wrong.keys()]);
  });
});
