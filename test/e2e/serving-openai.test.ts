/** OpenAI's own client beside this server: errors by their classes, retries, leaving a stream. */
import assert from 'node:assert/strict';

import OpenAI from 'openai';

import { createError } from '../../lib/errors.js';
import type { FaceLlm } from '../../lib/index.js';
import { createKey, type RunningServer } from '../../lib/serving/index.js';
import { loadTiny, request, serveTiny, until } from '../support/server.js';

const CHAT = '/v1/chat/completions';
const ASKED = { model: 'tiny', messages: [{ role: 'user' as const, content: 'Hi?' }] };
const LONG = { max_tokens: 4000, min_tokens: 4000 };

const clientOf = (
  { url }: RunningServer,
  { apiKey = 'none', maxRetries = 0 }: { apiKey?: string; maxRetries?: number } = {},
): OpenAI => new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries });

type ErrorClass = new (...args: never[]) => Error;

describe("serving: OpenAI's client", () => {
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
});
