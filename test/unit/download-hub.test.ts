/** lib/download against a hub on loopback: Python's cache layout, resuming, hashes, and everything that goes wrong. */
import assert from 'node:assert/strict';
import { lstat, readFile, readlink, readdir, writeFile, mkdir } from 'node:fs/promises';
import { connect, createServer as createTcp, type AddressInfo, type Server } from 'node:net';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';

import {
  type DownloadedRepository,
  type DownloadEvent,
  type DownloadOptions,
  downloadWith,
} from '../../lib/download/index.js';
import { matcherOf } from '../../lib/download/patterns.js';
import {
  type Fault,
  gitBlob,
  type HubFile,
  HubServer,
  pattern,
  type Seen,
  sha256,
} from '../support/hub-server.js';
import { errorOf, TestFolder } from './checkpoint-folder.js';

const CONFIG = Buffer.from('{"a": 1}\n');
const WEIGHTS = pattern(600_000);
const FILES: readonly HubFile[] = [
  { path: 'config.json', bytes: CONFIG },
  { path: 'model/deep/weights 1.safetensors', bytes: WEIGHTS, isLarge: true },
  { path: 'copy.safetensors', bytes: WEIGHTS, isLarge: true },
  { path: 'empty', bytes: Buffer.alloc(0) },
];

describe('download from a hub', () => {
  let folder: TestFolder;
  let hub: HubServer;
  let env: NodeJS.ProcessEnv;
  let events: DownloadEvent[];

  beforeEach(async () => {
    folder = await TestFolder.create();
    hub = await HubServer.start(FILES);
    env = { HF_ENDPOINT: `${hub.url}/`, HF_HOME: folder.at('home'), HF_HUB_DOWNLOAD_TIMEOUT: '20' };
    events = [];
  });
  afterEach(async () => {
    await hub.close();
    await folder.remove();
  });

  async function get(
    options: DownloadOptions = {},
    what = 'org/model',
  ): Promise<DownloadedRepository> {
    const onEvent = (event: DownloadEvent): void => void events.push(event);
    const result = await downloadWith(what, { onEvent, ...options }, { env, retryMs: 1 });
    assert.notEqual(result.kind, 'named');
    return result as DownloadedRepository;
  }
  const cache = (...steps: string[]): string =>
    folder.at('home', 'hub', 'models--org--model', ...steps);
  const isLarge = ({ host }: Seen): boolean => host === 'store';
  /** The store misbehaves so, for its first requests. */
  function breakStore(fault: Fault, times = Infinity): void {
    let left = times;
    hub.fault = (seen) => (isLarge(seen) && left-- > 0 ? fault : undefined);
  }
  async function checkSnapshot(): Promise<void> {
    for (const { path, bytes } of FILES) {
      assert.deepEqual(await readFile(cache('snapshots', hub.commit, path)), bytes, path);
    }
    const left = await readdir(cache('blobs'));
    assert.deepEqual(
      left.sort(),
      [sha256(WEIGHTS), gitBlob(CONFIG), gitBlob(Buffer.alloc(0))].sort(),
    );
  }

  it("lays files out as Python's cache: blobs by hash, relative links, a name for the commit", async () => {
    const result = await get();
    await checkSnapshot();
    assert.equal(result.directory, cache('snapshots', hub.commit));
    assert.equal(await readFile(cache('refs', 'main'), 'utf8'), hub.commit);
    const link = cache('snapshots', hub.commit, 'model/deep/weights 1.safetensors');
    assert.ok((await lstat(link)).isSymbolicLink());
    assert.equal(await readlink(link), join('..', '..', '..', '..', 'blobs', sha256(WEIGHTS)));
    assert.equal(result.license, 'mit');
    assert.equal(result.bytesFetched, WEIGHTS.length + CONFIG.length);
    const plan = events.find((event) => event.type === 'plan');
    assert.equal(plan?.bytesTotal, 2 * WEIGHTS.length + CONFIG.length);
    assert.ok(plan?.files.some(({ hash }) => hash === `sha256:${sha256(WEIGHTS)}`));
    const last = events.filter((event) => event.type === 'progress').at(-1);
    assert.deepEqual(
      [last?.bytesDone, last?.filesDone, last?.secondsLeft],
      [last?.bytesTotal, last?.filesTotal, 0],
    );
  });

  it('fetches nothing that is there, and of another commit only what changed', async () => {
    await get();
    const before = hub.filesAsked().length;
    assert.equal((await get()).bytesFetched, 0);
    assert.equal(hub.filesAsked().length, before);
    hub.commit = 'b'.repeat(40);
    hub.files = [...FILES.slice(1), { path: 'config.json', bytes: Buffer.from('{}') }];
    hub.fault = ({ path }) =>
      path.endsWith('config.json') ? { kind: 'status', status: 500 } : undefined;
    assert.equal((await errorOf(get())).code, 'FACELLM_DOWNLOAD_FAILED');
    // The older snapshot is what main means until the newer one is whole.
    assert.equal(await readFile(cache('refs', 'main'), 'utf8'), 'a'.repeat(40));
    await assert.rejects(readdir(cache('snapshots', hub.commit)));
    hub.fault = () => undefined;
    assert.equal((await get()).bytesFetched, 2);
    assert.equal(await readFile(cache('refs', 'main'), 'utf8'), hub.commit);
  });

  it('gives the token to the hub and to nobody that it redirects to', async () => {
    env['HF_TOKEN'] = 'hf_secret\n';
    await get();
    for (const { host, authorization } of hub.seen) {
      assert.equal(authorization, host === 'hub' ? 'Bearer hf_secret' : undefined);
    }
    assert.ok(hub.seen.some(isLarge));
  });

  it('takes the token from its file, and none where that is forbidden', async () => {
    await folder.write('home/token', 'hf_file\n');
    await get();
    assert.equal(hub.seen.at(-1)?.host === 'hub' || hub.seen[0]?.authorization, 'Bearer hf_file');
    hub.seen.length = 0;
    env['HF_HUB_DISABLE_IMPLICIT_TOKEN'] = '1';
    await get();
    assert.equal(hub.seen[0]?.authorization, undefined);
    await get({ token: 'hf_given' });
    assert.equal(hub.seen.at(-1)?.authorization, 'Bearer hf_given');
    const { message } = await errorOf(get({ token: 'hf_ bad' }));
    assert.ok(!message.includes('hf_ bad'));
  });

  it('goes on by range where a connection was cut, and fetches no byte twice', async () => {
    hub.files = FILES.slice(0, 2);
    hub.pieceBytes = 1000;
    breakStore({ kind: 'cut', after: 70_000 });
    const result = await get();
    assert.deepEqual(await readFile(join(result.directory, FILES[1]?.path ?? '')), WEIGHTS);
    // What was under way when a connection broke is lost; what had come is never asked for again.
    const starts = hub.seen
      .filter(isLarge)
      .map(({ range }) => Number(/^bytes=(\d+)-$/.exec(range ?? 'bytes=0-')?.[1]));
    assert.ok(starts.length >= 9, String(starts));
    assert.ok(
      starts.slice(1).every((start, i) => start > (starts[i] ?? NaN)),
      String(starts),
    );
  });

  it('gets there where ranges are refused, too', async () => {
    let left = 3;
    hub.fault = (seen) =>
      isLarge(seen)
        ? { kind: 'no-ranges', ...(left-- > 0 ? { after: 100_000 * (4 - left) } : {}) }
        : undefined;
    await get();
    await checkSnapshot();
  });

  it('tries again after wrong ranges, lengths, too many bytes and silence', async () => {
    env['HF_HUB_DOWNLOAD_TIMEOUT'] = '0.2';
    for (const kind of ['wrong-range', 'too-long', 'wrong-length', 'stall', 'hang'] as const) {
      let isFirst = true;
      hub.fault = (seen) => {
        if (!isLarge(seen)) return undefined;
        if (kind === 'wrong-range' && seen.range === undefined) return { kind: 'cut', after: 5000 };
        if (!isFirst) return undefined;
        isFirst = false;
        return { kind };
      };
      await get();
      await checkSnapshot();
      await folder.remove();
      await mkdir(folder.path);
    }
  });

  it('refuses what has a wrong hash, twice fetched, and keeps nothing of it', async () => {
    breakStore({ kind: 'wrong-bytes' }, 1);
    await get();
    await checkSnapshot();
    hub.commit = 'c'.repeat(40);
    hub.files = [{ path: 'x.bin', bytes: pattern(1000, 7), isLarge: true }];
    breakStore({ kind: 'wrong-bytes' });
    const error = await errorOf(get());
    assert.equal(error.code, 'FACELLM_DOWNLOAD_CORRUPT');
    assert.match(error.message, new RegExp(sha256(pattern(1000, 7))));
    assert.ok(!(await readdir(cache('blobs'))).includes(sha256(pattern(1000, 7))));
    assert.equal(await readFile(cache('refs', 'main'), 'utf8'), 'a'.repeat(40));
  });

  it('starts a file anew whose kept beginning is damaged or too long', async () => {
    for (const damaged of [
      Buffer.alloc(1000),
      Buffer.alloc(WEIGHTS.length + 1),
      Buffer.alloc(WEIGHTS.length),
    ]) {
      const path = cache('blobs', `${sha256(WEIGHTS)}.facellm.incomplete`);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, damaged);
      await get();
      await checkSnapshot();
      await folder.remove();
      await mkdir(folder.path);
    }
  });

  it('explains every refusal, and tries none of them again', async () => {
    const cases: [number, Record<string, string>, string | undefined, RegExp][] = [
      [
        401,
        { 'x-error-code': 'GatedRepo' },
        undefined,
        /gated: accept its conditions at .*org\/model/,
      ],
      [403, { 'x-error-code': 'GatedRepo' }, 'hf_x', /HF_TOKEN has not been let in/],
      [401, { 'x-error-code': 'RepoNotFound' }, undefined, /no model org\/model, or it is private/],
      [404, { 'x-error-code': 'RepoNotFound' }, 'hf_x', /HF_TOKEN may not see it/],
      [404, { 'x-error-code': 'RevisionNotFound' }, undefined, /no revision main/],
      [
        401,
        { 'x-error-message': 'Invalid credentials\u001b[31m' },
        'hf_x',
        /not or no longer valid/,
      ],
      [403, {}, 'hf_x', /may not read model org\/model/],
      [403, { 'x-error-code': 'DisabledRepo' }, undefined, /disabled/],
      [418, {}, undefined, /answers 418/],
    ];
    for (const [status, headers, token, message] of cases) {
      hub.seen.length = 0;
      delete env['HF_TOKEN'];
      if (token !== undefined) env['HF_TOKEN'] = token;
      const plain = Object.fromEntries(
        Object.entries(headers).map(([name, text]) => [name, text.replace('\u001b', '')]),
      );
      hub.fault = () => ({ kind: 'status', status, headers: plain });
      const error = await errorOf(get());
      assert.equal(error.code, 'FACELLM_DOWNLOAD_REFUSED');
      assert.equal(error.name, 'DownloadError');
      assert.match(error.message, message);
      assert.ok(!error.message.includes('hf_x'));
      assert.equal(hub.seen.length, 1);
    }
    // The hub lists a file and refuses it; its store refuses a link that has run out.
    delete env['HF_TOKEN'];
    hub.fault = ({ path }) =>
      path.endsWith('config.json')
        ? { kind: 'status', status: 401, headers: { 'x-error-code': 'GatedRepo' } }
        : undefined;
    assert.equal((await errorOf(get())).code, 'FACELLM_DOWNLOAD_REFUSED');
    breakStore({ kind: 'status', status: 403 }, 2);
    await get();
    await checkSnapshot();
  });

  it('waits as long as the server asks, and gives up where it fails on and on', async () => {
    let left = 2;
    hub.fault = ({ path }) =>
      path.includes('/revision/') && left-- > 0
        ? { kind: 'status', status: 429, headers: { 'retry-after': '0.05' } }
        : undefined;
    await get();
    const waits = events.filter((event) => event.type === 'wait');
    assert.deepEqual(
      waits.map(({ seconds }) => seconds),
      [0.05, 0.05],
    );
    hub.fault = () => ({ kind: 'status', status: 503 });
    const error = await errorOf(get({ revision: 'other' }));
    assert.equal(error.code, 'FACELLM_DOWNLOAD_FAILED');
    assert.match(error.message, /503/);
    hub.fault = () => ({ kind: 'status', status: 429, headers: { 'retry-after': '7200' } });
    assert.match((await errorOf(get({ revision: 'other' }))).message, /asks to wait 7200 s/);
  });

  it('stops on a signal with its reason, keeps what has come, and goes on from there', async () => {
    hub.files = FILES.slice(1, 2);
    hub.pieceBytes = 2000;
    const abort = new AbortController();
    const reason = new Error('enough');
    hub.onBytes = (total) => {
      if (total > 200_000) abort.abort(reason);
    };
    await assert.rejects(get({ signal: abort.signal }), (error) => error === reason);
    hub.onBytes = () => undefined;
    const sent = hub.bytesSent;
    const { bytesFetched } = await get();
    assert.ok(bytesFetched < WEIGHTS.length);
    assert.ok(hub.bytesSent - sent < WEIGHTS.length);
    await assert.rejects(get({ signal: AbortSignal.abort(reason) }), (error) => error === reason);
  });

  it('uses the cache offline and where the hub cannot be reached', async () => {
    const { directory } = await get();
    const asked = hub.seen.length;
    env['HF_HUB_OFFLINE'] = '1';
    const offline = await get();
    assert.deepEqual([offline.directory, offline.isOffline], [directory, true]);
    assert.equal(hub.seen.length, asked);
    assert.match((await errorOf(get({}, 'org/other'))).message, /HF_HUB_OFFLINE is set/);
    delete env['HF_HUB_OFFLINE'];
    await hub.close();
    const gone = await get();
    assert.deepEqual([gone.directory, gone.isOffline], [directory, true]);
    const error = await errorOf(get({}, 'org/other'));
    assert.equal(error.code, 'FACELLM_DOWNLOAD_FAILED');
    assert.match(error.message, /ECONNREFUSED.*HF_ENDPOINT/);
    hub = await HubServer.start();
  });

  it('fetches files by pattern, and names what there is where none matches', async () => {
    const { files } = await get({ include: ['*.json', 'model/'] });
    assert.deepEqual(files, ['config.json', 'model/deep/weights 1.safetensors']);
    const error = await errorOf(get({ include: ['*.gguf'] }));
    assert.ok(error.details.includes('config.json'));
    assert.ok(matcherOf('a[!b]?[]x]')('acz]') && !matcherOf('a[!b]')('ab') && matcherOf('[')('['));
  });

  it('fetches data sets of the hub beside the models', async () => {
    const { directory } = await get({ revision: 'refs/pr/1' }, 'datasets/org/model');
    assert.ok(directory.includes('datasets--org--model'));
    const refs = folder.at('home', 'hub', 'datasets--org--model', 'refs', 'refs', 'pr', '1');
    assert.equal(await readFile(refs, 'utf8'), hub.commit);
    const address = `/datasets/org/model/resolve/${hub.commit}/config.json`;
    assert.ok(hub.seen.some(({ path }) => path === address));
  });

  it('tells what it would do with dryRun, and writes nothing', async () => {
    const { bytes } = await get({ dryRun: true });
    assert.equal(bytes, 2 * WEIGHTS.length + CONFIG.length);
    assert.equal(hub.filesAsked().length, 0);
    await assert.rejects(readdir(folder.at('home')));
  });

  it('trusts no listing: paths that lead out, hashes that are none, answers that are not JSON', async () => {
    const entry = { type: 'file', path: 'a', size: 1, oid: 'a'.repeat(40) };
    for (const change of [
      { path: '../../evil' },
      { path: '/etc/evil' },
      { path: 'a\\..\\b' },
      { path: 'a\nb' },
      { oid: '../../evil' },
      { lfs: { oid: 'x', size: 1, pointerSize: 1 } },
      { size: -1 },
    ]) {
      hub.tree = [{ ...entry, ...change }];
      const error = await errorOf(get());
      assert.equal(error.code, 'FACELLM_DOWNLOAD_FAILED');
      assert.equal(error.details.length, 1);
    }
    hub.tree = undefined;
    hub.texts.set(`/api/models/org/model/tree/${hub.commit}`, '<html>');
    assert.match((await errorOf(get())).message, /not understood/);
    hub.texts.set('/api/models/org/model/revision/main', '{"sha": "../../x"}');
    assert.match((await errorOf(get())).message, /names no commit/);
    assert.deepEqual(hub.filesAsked(), []);
  });

  it('looks for room before the first byte', async () => {
    hub.tree = [{ type: 'file', path: 'a', size: 2 ** 52, oid: 'a'.repeat(40) }];
    const error = await errorOf(get());
    assert.equal(error.code, 'FACELLM_DOWNLOAD_WRITE');
    assert.match(error.message, /4503599\.6 GB are needed .* HF_HUB_CACHE/);
    assert.deepEqual(hub.filesAsked(), []);
  });

  it('works beside others at the same model: one fetches, all have it', async () => {
    hub.pieceBytes = 4000;
    const results = await Promise.all([get(), get(), get()]);
    assert.equal(new Set(results.map(({ directory }) => directory)).size, 1);
    assert.equal(hub.bytesSent, WEIGHTS.length + CONFIG.length);
    await checkSnapshot();
  });

  it('goes by way of a proxy, unless NO_PROXY has the host', async () => {
    const targets: string[] = [];
    const proxy = createServer();
    proxy.on('connect', (request, socket) => {
      targets.push(request.url ?? '');
      const [host = '', port = ''] = (request.url ?? '').split(':');
      const out = connect(Number(port), host === 'localhost' ? '127.0.0.1' : host, () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        socket.pipe(out).pipe(socket);
      });
      for (const end of [socket, out]) end.on('error', () => out.destroy());
    });
    await listening(proxy);
    env['HTTP_PROXY'] = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    await get();
    await checkSnapshot();
    assert.ok(
      targets.includes(new URL(hub.url).host) && targets.includes(new URL(hub.storeUrl).host),
    );
    const before = targets.length;
    env['NO_PROXY'] = '127.0.0.1,localhost';
    await get();
    assert.equal(targets.length, before);
    delete env['NO_PROXY'];
    proxy.removeAllListeners('connect');
    proxy.on('connect', (_request, socket) =>
      socket.end('HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n'),
    );
    const error = await errorOf(get({}, 'org/other'));
    assert.match(error.message, /proxy refuses .*407.*HTTPS_PROXY/);
    proxy.closeAllConnections();
    proxy.close();
  });

  it('survives a server that speaks something else', async () => {
    const tcp: Server = createTcp((socket) => {
      socket.on('error', () => undefined);
      socket.end('SSH-2.0-OpenSSH\r\n');
    });
    await listening(tcp);
    env['HF_ENDPOINT'] = `http://127.0.0.1:${(tcp.address() as AddressInfo).port}`;
    assert.equal((await errorOf(get())).code, 'FACELLM_DOWNLOAD_FAILED');
    tcp.close();
    env['HF_ENDPOINT'] = 'ftp://x';
    assert.equal((await errorOf(get())).code, 'FACELLM_INVALID_ARGUMENT');
  });

  it('refuses names and options that it does not take, all at once', async () => {
    assert.match((await errorOf(get({}, 'fairfacegtp'))).message, /did you mean fairfacegpt/);
    assert.match((await errorOf(get({ output: 'x', from: ['y'] }))).details.join(), /output.*from/);
    assert.equal((await errorOf(get({ revision: '../x' }))).code, 'FACELLM_INVALID_ARGUMENT');
  });
});

async function listening(server: {
  listen(port: number, host: string, done: () => void): unknown;
}): Promise<void> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
}
