/** OpenAI's own client and types beside this server: errors by their classes, retries, leaving a stream, bodies of its declared forms. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import OpenAI from 'openai';
import ts from 'typescript';

import { createError } from '../../lib/errors.js';
import type { FaceLlm } from '../../lib/index.js';
import { createKey, type RunningServer } from '../../lib/serving/index.js';
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
const LONG = { max_tokens: 4000, min_tokens: 4000 };

const clientOf = (
  { url }: RunningServer,
  { apiKey = 'none', maxRetries = 0 }: { apiKey?: string; maxRetries?: number } = {},
): OpenAI => new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries });

type ErrorClass = new (...args: never[]) => Error;

describe("serving: OpenAI's client and types", () => {
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

  /** Rejected with exactly this class, status and code. */
  async function rejects(
    asked: PromiseLike<unknown>,
    kind: ErrorClass,
    status: number,
    code: string,
  ): Promise<void> {
    const error: unknown = await Promise.resolve(asked).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof OpenAI.APIError, String(error));
    assert.deepEqual([error.constructor, error.status, error.code], [kind, status, code]);
    assert.match(error.requestID ?? '', /^[\w.-]+$/);
  }

  it('keys and rights: 401 and 403', async () => {
    const [asks, reads] = [createKey('asks'), createKey('reads', ['metrics'])];
    await using guarded = await serveTiny(model, { apiKeys: [asks.line, reads.line] });
    const as = (apiKey: string): PromiseLike<unknown> =>
      clientOf(guarded, { apiKey }).chat.completions.create({ ...ASKED, max_completion_tokens: 1 });
    await as(asks.key);
    await rejects(as('wrong'), OpenAI.AuthenticationError, 401, 'invalid_api_key');
    await rejects(as(reads.key), OpenAI.PermissionDeniedError, 403, 'insufficient_permissions');
  });

  it('too large a body is 413, which has no class of its own; 422 is never sent', async () => {
    await using narrow = await serveTiny(model, { limits: { bodyBytes: 2000 } });
    const { completions } = clientOf(narrow).chat;
    const messages = [{ role: 'user' as const, content: 'x'.repeat(3000) }];
    await rejects(
      completions.create({ ...ASKED, messages }),
      OpenAI.APIError,
      413,
      'request_too_large',
    );
    // What others answer 422 is 400 here.
    await rejects(
      completions.create({ ...ASKED, temperature: 7 }),
      OpenAI.BadRequestError,
      400,
      'invalid_value',
    );
  });

  it('a fault of the server is 500 with the id of the request, and is not tried again', async () => {
    let asked = 0;
    const broken = new Proxy(model, {
      get(target, name) {
        if (name === 'chat') {
          asked++;
          throw createError('FACELLM_INTERNAL', 'planted');
        }
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
    await using failing = await serveTiny(broken);
    const { completions } = clientOf(failing, { maxRetries: 2 }).chat;
    await rejects(completions.create(ASKED), OpenAI.InternalServerError, 500, 'internal_error');
    assert.equal(asked, 1);
  });

  describe('a server that is full', () => {
    /** One answer under way, and no room for another. */
    async function whileFull(
      run: (full: RunningServer, end: () => void) => Promise<void>,
    ): Promise<void> {
      await using full = await serveTiny(model, { load: { maxRows: 1 }, limits: { queue: 0 } });
      const leave = new AbortController();
      const inside = request(full.url + CHAT, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ ...ASKED, ...LONG }),
        signal: leave.signal,
      }).catch(() => undefined);
      try {
        await until(async () => (await model.stats()).runningRows === 1);
        await run(full, () => leave.abort());
      } finally {
        leave.abort();
        await inside;
        await until(async () => (await model.stats()).usedBlocks === 0);
      }
    }

    it('is 429', () =>
      whileFull(async (full) => {
        await rejects(
          clientOf(full).chat.completions.create({ ...ASKED, max_completion_tokens: 1 }),
          OpenAI.RateLimitError,
          429,
          'rate_limit_exceeded',
        );
      }));

    it('is asked again after as long as it says, and then answers', () =>
      whileFull(async (full, end) => {
        const statuses: number[] = [];
        const retries: (string | null)[] = [];
        let waitedFor = Infinity;
        const client = new OpenAI({
          ...{ baseURL: `${full.url}/v1`, apiKey: 'none', maxRetries: 3 },
          fetch: async (url, init) => {
            retries.push(new Headers(init?.headers).get('x-stainless-retry-count'));
            const reply = await fetch(url, init);
            statuses.push(reply.status);
            if (reply.status === 429) {
              waitedFor = Number(reply.headers.get('retry-after-ms'));
              end();
              await until(async () => (await model.stats()).usedBlocks === 0);
            }
            return reply;
          },
        });
        const began = performance.now();
        const answer = await client.chat.completions.create({ ...ASKED, max_completion_tokens: 2 });
        assert.equal(answer.choices[0]?.finish_reason, 'length');
        assert.deepEqual(statuses, [429, 200]);
        assert.deepEqual(retries, ['0', '1']);
        // Not earlier: it is the server's word that the client goes by.
        assert.ok(waitedFor >= 1 && performance.now() - began >= waitedFor);
        const { text } = await request(`${full.url}/metrics`);
        assert.match(text, /^facellm:client_retries_total 1$/m);
      }));
  });

  it('whoever leaves the loop over a stream, or aborts it, frees what it held', async () => {
    const { completions } = clientOf(server).chat;
    const asked = { ...ASKED, ...LONG, stream: true as const };
    for (const leave of ['break', 'abort', 'return'] as const) {
      const stream = await completions.create(asked);
      let pieces = 0;
      const read = async (): Promise<void> => {
        for await (const { choices } of stream) {
          if ((choices[0]?.delta.content ?? '') === '' || ++pieces < 3) continue;
          if (leave === 'break') break;
          if (leave === 'return') return;
          stream.controller.abort();
        }
      };
      await read();
      assert.equal(pieces >= 3, true);
      await until(async () => {
        const { usedBlocks, runningRows } = await model.stats();
        return usedBlocks === 0 && runningRows === 0;
      });
    }
  });

  describe('bodies are of the forms that OpenAI publishes', () => {
    let folder: string;
    // Beside node_modules, where the compiler finds the types; they are made of OpenAI's published schema.
    before(() => {
      folder = mkdtempSync(join(ROOT, 'node_modules', '.cache', 'openai-types-'));
    });
    after(() => rmSync(folder, { recursive: true }));

    /** Fields of ours, which its types do not know. */
    const OURS = [
      ...['facellm', 'stop_reason', 'image_tokens', 'text_tokens', 'allowed', 'mask_mass'],
      ...['max_model_len', 'parent', 'shape'],
    ];
    /** Without them, and without those that OpenAI has too but other schemas of it do not. */
    function without(value: unknown): unknown {
      if (Array.isArray(value)) return value.map(without);
      if (typeof value !== 'object' || value === null) return value;
      return Object.fromEntries(
        Object.entries(value)
          .filter(([name]) => !OURS.includes(name))
          .map(([name, one]) => [name, without(one)]),
      );
    }

    /** What the compiler says of values written down as such a type: of a missing, a wrong and an unknown field. */
    function faultsOf(bodies: readonly (readonly [type: string, body: unknown])[]): string[] {
      const file = join(folder, 'bodies.ts');
      const lines = bodies.map(
        ([type, body], i) =>
          `export const body${i}: ${type} = ${JSON.stringify(without(body), null, 1)};`,
      );
      writeFileSync(file, ["import type OpenAI from 'openai';", ...lines].join('\n'));
      const program = ts.createProgram([file], {
        ...{ strict: true, noEmit: true, skipLibCheck: true, types: ['node'] },
        ...{ module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.ES2023 },
        lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
        exactOptionalPropertyTypes: true,
      });
      return [...program.getSyntacticDiagnostics(), ...program.getSemanticDiagnostics()].map(
        ({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'),
      );
    }

    it('chat completions, chunks, responses, models, embeddings, errors', async () => {
      const chat = (more: object): Promise<unknown> =>
        post(server, CHAT, { ...ASKED, max_tokens: 4, ...more }).then(({ json }) => json);
      const chunks = async (more: object): Promise<readonly unknown[]> => {
        const { text } = await post(server, CHAT, {
          ...ASKED,
          max_tokens: 4,
          stream: true,
          ...more,
        });
        return eventsOf(text);
      };
      const logprobs = { logprobs: true, top_logprobs: 2 };
      const schema = { type: 'object', properties: { a: { type: 'boolean' } }, required: ['a'] };
      const format = { type: 'json_schema', json_schema: { name: 'a', schema } };
      const completion = 'OpenAI.Chat.Completions.ChatCompletion';
      const chunk = 'OpenAI.Chat.Completions.ChatCompletionChunk';
      const bodies: (readonly [string, unknown])[] = [
        [completion, await chat({})],
        [completion, await chat({ ...logprobs, n: 2, temperature: 1 })],
        [completion, await chat({ messages: [question('Who?')], stop: 'e' })],
        [completion, await chat({ response_format: format, max_tokens: 50 })],
        ...(await chunks({ ...logprobs, stream_options: { include_usage: true } })).map(
          (one) => [chunk, one] as const,
        ),
        ...(await chunks({ n: 2, temperature: 1 })).map((one) => [chunk, one] as const),
        [
          'OpenAI.Models.ModelsPage["data"]',
          ((await request(`${server.url}/v1/models`)).json as { data: unknown }).data,
        ],
        ['OpenAI.Models.Model', (await request(`${server.url}/v1/models/tiny`)).json],
        [
          'OpenAI.CreateEmbeddingResponse',
          (
            await post(server, '/v1/embeddings', {
              input: dataUrl(PHOTO),
              encoding_format: 'float',
            })
          ).json,
        ],
        [
          'OpenAI.ErrorObject',
          ((await post(server, CHAT, { ...ASKED, n: 99 })).json as { error: unknown }).error,
        ],
      ];
      assert.ok(bodies.length > 15);
      assert.deepEqual(faultsOf(bodies), []);
    });

    it('a wrong body is told', () => {
      const [usage, choices] = [{}, [{ index: 0, finish_reason: 'over' }]];
      const body = { id: 1, object: 'chat.completion', created: 1, model: 'x', choices, usage };
      const faults = faultsOf([['OpenAI.Chat.Completions.ChatCompletion', body]]);
      assert.ok(faults.length >= 3, faults.join('\n'));
    });
  });
});
