/** `/v1/files` and `/v1/batches` by the openai SDK: a whole batch, a restart in its middle, cancelling, expiry, strangers, limits. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mock } from 'node:test';

import OpenAI, { toFile } from 'openai';

import type { FaceLlm } from '../../lib/index.js';
import type { StoredFile } from '../../lib/serving/batch-records.js';
import { BatchStore } from '../../lib/serving/batch-store.js';
import { createKey, type RunningServer, type ServeOptions } from '../../lib/serving/index.js';
import { errorOf, loadTiny, post, request, serveTiny, until } from '../support/server.js';

const CHAT = '/v1/chat/completions';
const line = (id: string, more: object = {}): object => ({
  ...{ custom_id: id, method: 'POST', url: CHAT },
  body: { messages: [{ role: 'user', content: `${id}?` }], max_tokens: 16, ...more },
});
const LINES = Array.from({ length: 40 }, (_, i) => line(`line ${i}`));

describe('serving: batches', () => {
  let model: FaceLlm;
  let folder: string;
  before(async () => {
    model = await loadTiny();
  });
  after(() => model.dispose());
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-batches-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const start = (options: Partial<ServeOptions> = {}): Promise<RunningServer> =>
    serveTiny(model, { batches: folder, ...options });
  const clientOf = (server: RunningServer, apiKey = 'none'): OpenAI =>
    new OpenAI({ baseURL: `${server.url}/v1`, apiKey, maxRetries: 0 });
  const upload = async (client: OpenAI, lines: readonly object[]) => {
    const text = lines.map((one) => JSON.stringify(one)).join('\n');
    return client.files.create({
      purpose: 'batch',
      file: await toFile(Buffer.from(text), 'in.jsonl'),
    });
  };
  const begin = async (client: OpenAI, lines: readonly object[]) =>
    client.batches.create({
      input_file_id: (await upload(client, lines)).id,
      ...{ endpoint: CHAT, completion_window: '24h', metadata: { run: 'a' } },
    });
  const ended = async (client: OpenAI, id: string) => {
    await until(async () => {
      const { status } = await client.batches.retrieve(id);
      return ['completed', 'failed', 'expired', 'cancelled'].includes(status);
    });
    return client.batches.retrieve(id);
  };
  const read = async (client: OpenAI, id: string | null | undefined) =>
    (await (await client.files.content(id ?? '')).text())
      .trimEnd()
      .split('\n')
      .map((text) => JSON.parse(text) as { custom_id: string; response: { status_code: number } });

  it('answers a file, and keeps what failed apart', async () => {
    await using server = await start();
    const client = clientOf(server);
    const batch = await begin(client, [line('a'), line('bad', { temperature: 9 }), line('b')]);
    assert.deepEqual([batch.object, batch.metadata], ['batch', { run: 'a' }]);
    const done = await ended(client, batch.id);
    assert.equal(done.status, 'completed');
    assert.deepEqual(done.request_counts, { total: 3, completed: 2, failed: 1 });
    const output = await read(client, done.output_file_id);
    assert.deepEqual(
      output.map(({ custom_id: id, response }) => [id, response.status_code]),
      [
        ['a', 200],
        ['b', 200],
      ],
    );
    const [failed] = await read(client, done.error_file_id);
    assert.deepEqual([failed?.custom_id, failed?.response.status_code], ['bad', 400]);
    const listed = await client.batches.list();
    assert.deepEqual(
      listed.data.map(({ id }) => id),
      [batch.id],
    );
    const files = await client.files.list();
    assert.equal(files.data.length, 3);
    await client.files.delete(done.output_file_id ?? '');
    await assert.rejects(client.files.retrieve(done.output_file_id ?? ''), { status: 404 });
    // For the owner of the process alone, and nothing is left over.
    for (const name of readdirSync(folder)) {
      if (name.endsWith('.jsonl')) assert.doesNotMatch(name, /answers|new/);
    }
    const input = join(folder, `${batch.input_file_id}.jsonl`);
    assert.equal(statSync(input).mode & 0o077, 0);
  });

  /** A batch of which some lines are answered when the server ends. */
  async function beginAndStop(): Promise<string> {
    await using server = await start({ limits: { drainTimeout: 1 } });
    const client = clientOf(server);
    const { id } = await begin(client, LINES);
    await until(
      async () => ((await client.batches.retrieve(id)).request_counts?.completed ?? 0) > 2,
    );
    return id;
  }

  it('goes on after the server was started again, asking nothing twice', async () => {
    const id = await beginAndStop();
    const journal = join(folder, `${id}.answers.jsonl`);
    const kept = readFileSync(journal, 'utf8').trimEnd().split('\n').slice(1);
    assert.ok(kept.length > 2 && kept.length < LINES.length);
    await using server = await start();
    const client = clientOf(server);
    const done = await ended(client, id);
    assert.deepEqual([done.status, done.request_counts?.completed], ['completed', LINES.length]);
    const ids = (await read(client, done.output_file_id)).map(({ custom_id: one }) => one);
    assert.deepEqual(
      ids,
      LINES.map((_, i) => `line ${i}`),
    );
    const content = await (await client.files.content(done.output_file_id ?? '')).text();
    for (const one of kept) assert.ok(content.includes(one), 'an answer stays as it was');
  });

  it('is not gone on with by a server of other settings: what is answered is kept, and it says so', async () => {
    const id = await beginAndStop();
    await using server = await start({ servedName: 'other' });
    const client = clientOf(server);
    const done = await ended(client, id);
    assert.equal(done.status, 'failed');
    const [fault] = done.errors?.data ?? [];
    assert.equal(fault?.code, 'server_changed');
    assert.match(fault?.message ?? '', /other settings .*\(models\)/);
    const count = (await read(client, done.output_file_id)).length;
    assert.ok(count > 2 && count < LINES.length);
  });

  /** Of a batch's record. */
  function changeHeader(id: string, change: (header: Record<string, unknown>) => object): void {
    const path = join(folder, `${id}.answers.jsonl`);
    const [header = '', ...lines] = readFileSync(path, 'utf8').split('\n');
    const changed = change(JSON.parse(header) as Record<string, unknown>);
    writeFileSync(path, [JSON.stringify(changed), ...lines].join('\n'));
  }

  it('begun before settings were recorded it goes on', async () => {
    const id = await beginAndStop();
    changeHeader(id, ({ type, input }) => ({ type, input }));
    await using server = await start();
    const done = await ended(clientOf(server), id);
    assert.deepEqual([done.status, done.request_counts?.completed], ['completed', LINES.length]);
  });

  it("with another batch's record it ends, and says that instead of another model", async () => {
    const id = await beginAndStop();
    changeHeader(id, (header) => ({ ...header, input: 'another' }));
    await using server = await start();
    const [fault] = (await ended(clientOf(server), id)).errors?.data ?? [];
    assert.equal(fault?.code, 'record_invalid');
    assert.doesNotMatch(fault?.message ?? '', /model|\//);
  });

  it('what is known of a batch goes after a while, too', async () => {
    await using server = await start({ limits: { batchKeep: 1000 } });
    const client = clientOf(server);
    const { id } = await begin(client, LINES.slice(0, 1));
    await ended(client, id);
    await server.close();
    await new Promise((resolve) => setTimeout(resolve, 2100));
    await using again = await start({ limits: { batchKeep: 1000 } });
    await assert.rejects(clientOf(again).batches.retrieve(id), OpenAI.NotFoundError);
    assert.ok(!readdirSync(folder).some((name) => name.startsWith(id)));
  });

  it('is cancelled with what is answered kept, and not twice', async () => {
    await using server = await start();
    const client = clientOf(server);
    // So many that they are not all answered before a busy machine comes to the cancelling.
    const lines = Array.from({ length: 1000 }, (_, i) => line(`line ${i}`));
    const { id } = await begin(client, lines);
    await until(
      async () => ((await client.batches.retrieve(id)).request_counts?.completed ?? 0) > 2,
    );
    await client.batches.cancel(id);
    const done = await ended(client, id);
    assert.equal(done.status, 'cancelled');
    const answered = done.request_counts?.completed ?? 0;
    assert.ok(answered > 2 && answered < lines.length);
    assert.equal((await read(client, done.output_file_id)).length, answered);
    await assert.rejects(client.batches.cancel(id), { status: 400 });
  });

  it('expires: a batch with what is answered, a file wholly', async () => {
    let id: string;
    {
      await using server = await start({ limits: { drainTimeout: 1 } });
      const client = clientOf(server);
      id = (await begin(client, LINES)).id;
    }
    const path = join(folder, `${id}.json`);
    const record = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    writeFileSync(path, JSON.stringify({ ...record, expires_at: 1 }));
    const input = join(folder, `${String(record['input_file_id'])}.json`);
    const file = JSON.parse(readFileSync(input, 'utf8')) as object;
    writeFileSync(input, JSON.stringify({ ...file, expires_at: 1 }));
    await using server = await start();
    const client = clientOf(server);
    const done = await ended(client, id);
    assert.equal(done.status, 'expired');
    assert.ok((done.expired_at ?? 0) > 0);
    await until(() => !readdirSync(folder).includes(`${String(record['input_file_id'])}.jsonl`));
    await assert.rejects(client.files.retrieve(String(record['input_file_id'])), { status: 404 });
  });

  it('fails as a whole with the lines that are wrong', async () => {
    await using server = await start();
    const client = clientOf(server);
    const { id } = await begin(client, [line('a'), { ...line('b'), url: '/v1/choose' }, line('a')]);
    const done = await ended(client, id);
    assert.equal(done.status, 'failed');
    assert.deepEqual(
      done.errors?.data?.map(({ line: at, code }) => [at, code]),
      [
        [2, 'mismatched_url'],
        [3, 'duplicate_custom_id'],
      ],
    );
  });

  it("shows nobody another key's files and batches", async () => {
    const [one, other] = [createKey('one'), createKey('other')];
    await using server = await start({ apiKeys: [one.line, other.line] });
    const own = clientOf(server, one.key);
    const stranger = clientOf(server, other.key);
    const { id, input_file_id: file } = await begin(own, [line('a')]);
    await ended(own, id);
    for (const attempt of [
      () => stranger.batches.retrieve(id),
      () => stranger.batches.cancel(id),
      () => stranger.files.retrieve(file),
      () => stranger.files.content(file),
      () => stranger.files.delete(file),
      () =>
        stranger.batches.create({ input_file_id: file, endpoint: CHAT, completion_window: '24h' }),
    ]) {
      await assert.rejects(attempt, { status: 404 });
    }
    assert.deepEqual((await stranger.files.list()).data, []);
    assert.deepEqual((await stranger.batches.list()).data, []);
    assert.equal((await own.files.retrieve(file)).id, file);
  });

  it('holds uploads to their limits and names, and opens nothing by a path', async () => {
    await using server = await start({ limits: { batchFileBytes: 2000, batchBytes: 500 } });
    const client = clientOf(server);
    await assert.rejects(upload(client, LINES), { status: 413 });
    await assert.rejects(upload(client, LINES.slice(0, 6)), { status: 400, code: 'storage_full' });
    const file = await toFile(Buffer.from('{}'), 'x');
    await assert.rejects(client.files.create({ purpose: 'vision', file }), { status: 400 });
    const plain = await post(server, '/v1/files', {});
    assert.equal(plain.status, 415);
    for (const id of ['..%2Fserve', '%2e%2e', 'file-1', `file-${'0'.repeat(32)}`]) {
      const reply = await request(`${server.url}/v1/files/${id}/content`);
      assert.equal(reply.status, 404, id);
    }
    const wrong = await post(server, '/v1/batches', { endpoint: '/v1/models', window: 1 });
    assert.equal(wrong.status, 400);
    for (const name of ['window', 'input_file_id', 'endpoint', 'completion_window']) {
      assert.match(String(errorOf(wrong)['message']), new RegExp(name));
    }
  });

  it('is off where the server has no folder, and says which flag', async () => {
    await using server = await serveTiny(model);
    const reply = await request(`${server.url}/v1/batches`);
    assert.equal(reply.status, 404);
    assert.match(String(errorOf(reply)['message']), /--batches DIR/);
  });

  it('a folder that is gone halts batches, not the server, and the log says so', async () => {
    const lines: string[] = [];
    await using server = await start({ onLog: (text) => lines.push(text) });
    const client = clientOf(server);
    await begin(client, LINES);
    rmSync(folder, { recursive: true, force: true });
    await until(() => lines.some((text) => text.includes('"batches":"halted"')));
    const reply = await post(server, CHAT, {
      messages: [{ role: 'user', content: 'Hi?' }],
      max_tokens: 1,
    });
    assert.equal(reply.status, 200);
  });

  it('a journal that cannot be written gives up nothing: the next start goes on with it', async () => {
    const id = await beginAndStop();
    const journal = join(folder, `${id}.answers.jsonl`);
    renameSync(journal, `${journal}.away`);
    mkdirSync(journal);
    {
      const lines: string[] = [];
      await using server = await start({ onLog: (text) => lines.push(text) });
      const client = clientOf(server);
      await until(
        async () =>
          lines.some((text) => text.includes('"batches":"halted","code":"FACELLM_RUN_WRITE"')) ||
          (await client.batches.retrieve(id)).status === 'failed',
      );
      assert.equal((await client.batches.retrieve(id)).status, 'in_progress');
    }
    rmSync(journal, { recursive: true });
    renameSync(`${journal}.away`, journal);
    await using server = await start();
    const done = await ended(clientOf(server), id);
    assert.deepEqual([done.status, done.request_counts?.completed], ['completed', LINES.length]);
  });

  it('keeps what people sent from others: modes of folder and files', async () => {
    const modes = () =>
      readdirSync(folder)
        .filter((name) => name.endsWith('.json') || name.endsWith('.jsonl'))
        .map((name) => [name, statSync(join(folder, name)).mode & 0o077]);
    {
      await using server = await start({ limits: { drainTimeout: 1 } });
      const client = clientOf(server);
      const { id } = await begin(client, LINES);
      await until(() => existsSync(join(folder, `${id}.answers.jsonl`)));
      assert.ok(modes().every(([, mode]) => mode === 0));
      const short = await begin(client, [line('a')]);
      await client.batches.cancel(id);
      await ended(client, short.id);
    }
    assert.ok(modes().length >= 6);
    assert.deepEqual(
      modes().filter(([, mode]) => mode !== 0),
      [],
    );
    chmodSync(folder, 0o755);
    await assert.rejects(start(), { code: 'FACELLM_RUN_INVALID', message: /mode 755.*chmod 700/ });
  });

  it('content without a record goes at the start, what expires within the hour', async () => {
    const none = '0'.repeat(32);
    const strays = [
      `file-${none}.jsonl`,
      `file-${none}.jsonl.new`,
      `batch_${none}.answers.jsonl`,
      '.file-1.json.0123456789ab.tmp',
    ];
    for (const name of strays) writeFileSync(join(folder, name), 'x');
    writeFileSync(join(folder, 'mine.jsonl'), 'x');
    mock.timers.enable({ apis: ['setInterval'] });
    try {
      await using server = await start();
      assert.deepEqual(
        readdirSync(folder).filter((name) => name.includes('json')),
        ['mine.jsonl'],
      );
      const client = clientOf(server);
      const { id } = await upload(client, [line('a')]);
      const past = Date.now() + 31 * 24 * 3600_000;
      const date = mock.method(Date, 'now', () => past);
      mock.timers.tick(3600_000);
      await until(() => !existsSync(join(folder, `${id}.jsonl`)));
      date.mock.restore();
    } finally {
      mock.timers.reset();
    }
  });

  it('two uploads at once share the bound; of two saves at once the later stays', async () => {
    const store = await BatchStore.open(folder, 1000, 3600);
    const file = (id: string): StoredFile => ({
      ...{ id: `file-${id.repeat(32)}`, owner: '', bytes: 600, created_at: 1 },
      ...{ expires_at: 1e12, filename: 'x', purpose: 'batch' as const },
    });
    const content = Buffer.alloc(600);
    const both = await Promise.allSettled(['a', 'b'].map((id) => store.addFile(file(id), content)));
    assert.deepEqual(
      both.map(({ status }) => status),
      ['fulfilled', 'rejected'],
    );
    const batch = { id: `batch_${'a'.repeat(32)}`, status: 'in_progress', owner: '' };
    const large = { ...batch, metadata: { x: 'x'.repeat(2 ** 24) } };
    const last = { ...batch, status: 'completed' };
    await Promise.all([large, last].map((one) => store.saveBatch(one as never)));
    const kept = JSON.parse(readFileSync(join(folder, `${batch.id}.json`), 'utf8')) as object;
    assert.deepEqual(kept, last);
    await store.close();
  });

  it('lists as asked, and refuses what it does not know', async () => {
    await using server = await start();
    const client = clientOf(server);
    const first = await begin(client, [line('a')]);
    await ended(client, first.id);
    const list = async (query: string) => {
      const reply = await request(`${server.url}/v1/files?${query}`);
      assert.equal(reply.status, 200, reply.text);
      return (reply.json['data'] as { id: string }[]).map(({ id }) => id);
    };
    const down = await list('order=desc');
    assert.equal(down.length, 2);
    assert.deepEqual(await list('order=asc'), down.toReversed());
    assert.deepEqual(await list('purpose=batch'), [first.input_file_id]);
    assert.deepEqual(await list(`after=${down[0]}&limit=1`), down.slice(1));
    for (const [path, param] of [
      ['files?color=red', 'color'],
      ['batches?order=asc', 'order'],
      ['files?order=up', 'order'],
      ['files?limit=x', 'limit'],
      ['batches?limit=0', 'limit'],
      ['files?after=file-gone', 'after'],
      ['batches?after=', 'after'],
    ] as const) {
      const reply = await request(`${server.url}/v1/${path}`);
      assert.deepEqual([reply.status, errorOf(reply)['param']], [400, param], path);
    }
    await assert.rejects(
      client.files.create({
        purpose: 'batch',
        file: await toFile(Buffer.from('{}'), 'x'),
        expires_after: { anchor: 'tomorrow' as 'created_at', seconds: 3600 },
      }),
      { status: 400, param: 'expires_after[anchor]' },
    );
  });

  it('cuts off whoever takes nothing of a file, and logs whoever leaves as gone', async () => {
    const id = `file-${'a'.repeat(32)}`;
    const bytes = 2 ** 26;
    const record = { id, owner: '', bytes, created_at: 1, expires_at: 1e12, filename: 'x' };
    writeFileSync(join(folder, `${id}.json`), JSON.stringify({ ...record, purpose: 'batch' }));
    writeFileSync(join(folder, `${id}.jsonl`), Buffer.alloc(bytes));
    const logged: string[] = [];
    await using server = await start({
      limits: { stallTimeout: 200 },
      onLog: (text) => logged.push(text),
    });
    const gone = () => logged.filter((text) => text.includes('"status":499')).length;
    const url = `${server.url}/v1/files/${id}/content`;
    const leaving = get(url, (response) => response.once('data', () => leaving.destroy()));
    leaving.on('error', () => undefined);
    await until(() => logged.length === 1);
    assert.equal(gone(), 1, logged.join(''));
    const stalling = get(url, (response) => response.pause());
    stalling.on('error', () => undefined);
    await until(() => logged.length === 2);
    assert.equal(gone(), 2, logged.join(''));
    stalling.destroy();
  });

  it('lets everybody else go first', async () => {
    await using server = await start({ load: { maxRows: 1 } });
    const client = clientOf(server);
    const { id } = await begin(client, LINES);
    await until(
      async () => ((await client.batches.retrieve(id)).request_counts?.completed ?? 0) > 1,
    );
    const reply = await post(server, CHAT, {
      messages: [{ role: 'user', content: 'Hi?' }],
      max_tokens: 1,
    });
    assert.equal(reply.status, 200);
    const now = await client.batches.retrieve(id);
    assert.ok((now.request_counts?.completed ?? 0) < LINES.length, 'the batch is still under way');
    await client.batches.cancel(id);
    await ended(client, id);
  });
});
