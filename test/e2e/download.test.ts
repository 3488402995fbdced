/** `facellm download` as people run it: killed, twice at a time, read by Python, and data sets made ready to use. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';

import { readDataset } from '../../lib/data/index.js';
import {
  type DownloadedDataset,
  downloadWith,
  type DownloadOptions,
} from '../../lib/download/index.js';
import { gitBlob, HubServer, md5, pattern } from '../support/hub-server.js';
import { NEEDS_ORACLE, skip } from '../support/skip.js';
import { type Entry, zipOf } from '../support/zip.js';
import { errorOf, GOLDEN, TestFolder } from '../unit/checkpoint-folder.js';
import { TEST_DEVICE } from '../support/golden.js';

const MAIN = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'main.js');

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

describe('e2e: download', () => {
  let folder: TestFolder;
  let hub: HubServer;
  let env: NodeJS.ProcessEnv;

  beforeEach(async () => {
    folder = await TestFolder.create();
    hub = await HubServer.start();
    env = {
      ...{ PATH: process.env['PATH'], HOME: folder.path, NO_COLOR: '1' },
      ...{ FACELLM_ADDON: process.env['FACELLM_ADDON'] },
      ...{ HF_ENDPOINT: hub.url, HF_HOME: folder.at('home'), FACELLM_DATA_MIRROR: hub.url },
    };
  });
  afterEach(async () => {
    await hub.close();
    await folder.remove();
  });

  function start(args: readonly string[]): { child: ChildProcess; ended: Promise<Ended> } {
    const child = spawn(process.execPath, [MAIN, ...args], { env });
    const texts: [string, string] = ['', ''];
    child.stdout.on('data', (data: Buffer) => (texts[0] += data.toString()));
    child.stderr.on('data', (data: Buffer) => (texts[1] += data.toString()));
    const ended = new Promise<Ended>((resolve) =>
      child.on('close', (status) => resolve({ status, stdout: texts[0], stderr: texts[1] })),
    );
    return { child, ended };
  }
  const run = (...args: string[]): Promise<Ended> => start(args).ended;
  const cache = (...steps: string[]): string =>
    folder.at('home', 'hub', 'models--org--model', ...steps);

  it('killed thirty times at random bytes, it ends with the same bytes', async function () {
    this.timeout(300_000);
    const size = 8 * 2 ** 20;
    const files = [1, 2, 3].map((seed) => ({
      ...{ path: `part-${seed}.safetensors`, bytes: pattern(size, seed), isLarge: seed !== 3 },
    }));
    hub.files = files;
    let state = 20261127;
    const random = (): number =>
      (state = (Math.imul(state, 48271) >>> 0) % 2147483647) / 2147483647;
    let kills = 0;
    while (kills < 30) {
      const { child, ended } = start(['download', 'org/model']);
      const stopAt = hub.bytesSent + Math.floor((random() * 2 * 3 * size) / 32);
      hub.onBytes = (total) => {
        if (total >= stopAt) child.kill('SIGKILL');
      };
      const { status, stderr } = await ended;
      // Whole before its time came: what is left to kill is a download from nothing.
      if (status === 0) await rmCache();
      else assert.equal(status, null, stderr);
      kills += status === null ? 1 : 0;
    }
    hub.onBytes = () => undefined;
    const { status, stdout, stderr } = await run('download', 'org/model');
    assert.equal(status, 0, stderr);
    assert.equal(stdout, `${cache('snapshots', hub.commit)}\n`);
    for (const { path, bytes } of files) {
      assert.ok(bytes.equals(await readFile(cache('snapshots', hub.commit, path))), path);
    }
    assert.equal((await readdir(cache('blobs'))).length, files.length);
  });

  async function rmCache(): Promise<void> {
    await rm(folder.at('home'), { recursive: true, force: true });
  }

  it('two processes at the same model: one fetches, the other waits and has it', async () => {
    hub.files = [{ path: 'weights.safetensors', bytes: pattern(2 ** 22), isLarge: true }];
    // The first is let go on when the second has asked for the listing, too.
    let asked = 0;
    let letGo: (() => void) | undefined;
    hub.hold = new Promise<void>((resolve) => (letGo = resolve));
    hub.fault = ({ path }) => {
      if (path.includes('/tree/') && ++asked === 2) setTimeout(() => letGo?.(), 500);
      return undefined;
    };
    const [first, second] = await Promise.all([
      run('download', 'org/model', '--json'),
      run('download', 'org/model', '--json'),
    ]);
    assert.equal(first.status, 0, first.stderr);
    assert.equal(second.status, 0, second.stderr);
    const fetched = [first, second].map(
      ({ stdout }) => (JSON.parse(stdout) as { bytesFetched: number }).bytesFetched,
    );
    assert.deepEqual(
      fetched.sort((a, b) => a - b),
      [0, 2 ** 22],
    );
  });

  it('Ctrl-C ends it with 130 and says that the same command goes on', async () => {
    hub.files = [{ path: 'weights.safetensors', bytes: pattern(2 ** 22) }];
    const { child, ended } = start(['download', 'org/model']);
    let isKilled = false;
    hub.onBytes = (total) => {
      if (total > 2 ** 20 && !isKilled) isKilled = child.kill('SIGINT');
    };
    const { status, stderr, stdout } = await ended;
    assert.deepEqual([status, stdout], [130, '']);
    assert.match(stderr, /the same command goes on/);
    assert.match(
      stderr,
      /model org\/model at a{40}\nlicence: mit\n {2}weights\.safetensors {2}4\.0 MiB {2}git-blob:/,
    );
  });

  it('--download fetches what a command lacks, and without it the error names the command', async () => {
    const golden = join(GOLDEN, 'ckpt-300m');
    hub.files = await Promise.all(
      (await readdir(golden)).map(async (path) => ({
        ...{ path: `model/${path}`, bytes: await readFile(join(golden, path)) },
        isLarge: path.endsWith('.safetensors'),
      })),
    );
    hub.files = [...hub.files, { path: 'model/optimizer.pt', bytes: pattern(1000) }];
    const picture = join(GOLDEN, '..', '..', '..', 'golden', 'face_square.png');
    const words = ['plan', picture, '--model', 'org/model', '--subfolder', 'model'];
    const absent = await run(...words);
    assert.equal(absent.status, 1);
    assert.match(absent.stderr, /facellm download org\/model --include "model\/\*"/);
    const { status, stderr } = await run(...words, '--download');
    assert.equal(status, 0, stderr);
    assert.ok(!hub.seen.some(({ path }) => path.endsWith('optimizer.pt')));
    const ask = [
      'ask',
      'Hello?',
      '--model',
      'org/model',
      '--subfolder',
      'model',
      '--max-new-tokens',
      '2',
    ];
    const answer = await run(...ask, '--download', '--device', TEST_DEVICE);
    assert.equal(answer.status, 0, answer.stderr);
  });

  describe('with Python', () => {
    const python = `${process.env['HOME'] ?? ''}/.cache/facellm-oracle/bin/python3`;
    const program = (local: boolean): string =>
      `from huggingface_hub import snapshot_download; print(snapshot_download("org/model", local_files_only=${local ? 'True' : 'False'}))`;

    function runPython(local: boolean): Promise<Ended> {
      const child = spawn(python, ['-c', program(local)], {
        env: { ...env, HF_HUB_DISABLE_XET: '1', HF_HUB_DISABLE_TELEMETRY: '1' },
      });
      const texts: [string, string] = ['', ''];
      child.stdout.on('data', (data: Buffer) => (texts[0] += data.toString()));
      child.stderr.on('data', (data: Buffer) => (texts[1] += data.toString()));
      return new Promise((resolve) =>
        child.on('close', (status) => resolve({ status, stdout: texts[0], stderr: texts[1] })),
      );
    }

    before(function () {
      if (!existsSync(python)) skip(this, NEEDS_ORACLE);
    });

    it('huggingface_hub finds what was downloaded here, and fetches nothing of it', async () => {
      hub.files = [
        { path: 'config.json', bytes: Buffer.from('{}') },
        { path: 'in/weights.safetensors', bytes: pattern(1000), isLarge: true },
      ];
      assert.equal((await run('download', 'org/model')).status, 0);
      const { status, stdout, stderr } = await runPython(true);
      assert.equal(status, 0, stderr);
      assert.equal(stdout.trim(), cache('snapshots', hub.commit));
      const before = hub.bytesSent;
      const online = await runPython(false);
      assert.equal(online.status, 0, online.stderr);
      assert.equal(hub.bytesSent, before);
    });

    it('what huggingface_hub left is whole here, link by link', async () => {
      hub.files = [
        { path: 'config.json', bytes: Buffer.from('{}') },
        { path: 'in/weights.safetensors', bytes: pattern(1000), isLarge: true },
      ];
      const python = await runPython(false);
      assert.equal(python.status, 0, python.stderr);
      const before = hub.filesAsked().length;
      const { status, stdout } = await run('download', 'org/model', '--json');
      assert.equal(status, 0);
      assert.equal((JSON.parse(stdout) as { bytesFetched: number }).bytesFetched, 0);
      assert.equal(hub.filesAsked().length, before);
    });
  });

  describe('of a data set by name', () => {
    const RECORD = '/zenodo.org/api/records/16323621';
    const DATA = Buffer.from(
      JSON.stringify([
        {
          conversations: [
            { from: 'human', value: '<image>Who?' },
            { from: 'assistant', value: 'A face.' },
          ],
          image: 'val/1.jpg',
        },
      ]),
    );

    async function get(name: string, options: DownloadOptions = {}): Promise<DownloadedDataset> {
      const output = folder.at(name);
      return (await downloadWith(
        name,
        { output, ...options },
        { env, retryMs: 1 },
      )) as DownloadedDataset;
    }
    function publish(name: string, bytes: Buffer, checksum = `md5:${md5(bytes)}`): void {
      hub.texts.set(
        RECORD,
        JSON.stringify({
          metadata: { title: 'FairFaceGPT', version: 'v1', license: { id: 'cc-by-sa-4.0' } },
          files: [{ key: name, size: bytes.length, checksum, links: { self: 'http://evil/' } }],
        }),
      );
      const path = `${RECORD}/files/${name}/content`;
      hub.served.set(path, bytes);
    }

    it('fairfacegpt from its record, as a file and as an archive, ready to train with', async () => {
      for (const [name, bytes] of [
        ['dataset.json', DATA],
        [
          'FairFaceGPT.zip',
          zipOf([
            { name: 'FairFaceGPT/', bytes: Buffer.alloc(0) },
            { name: 'FairFaceGPT/dataset.json', bytes: DATA, deflates: true },
          ]),
        ],
      ] as const) {
        publish(name, bytes);
        const output = folder.at(`out-${name}`);
        const { status, stdout, stderr } = await run('download', 'fairfacegpt', '--output', output);
        assert.equal(status, 0, stderr);
        assert.equal(stdout, `${output}\n`);
        assert.match(
          stderr,
          /FairFaceGPT \(v1\), https:\/\/zenodo\.org\/records\/16323621\nlicence: cc-by-sa-4\.0/,
        );
        assert.ok(stderr.includes(`md5:${md5(bytes)}`));
        const file = /--data (\S+dataset\.json)/.exec(stderr)?.[1] ?? '';
        assert.deepEqual(await readFile(file), DATA);
        await mkdir(folder.at('pictures', 'val'), { recursive: true });
        await cp(
          join(GOLDEN, '..', '..', '..', 'golden', 'face_square.png'),
          folder.at('pictures/val/1.jpg'),
        );
        const { records } = await readDataset(file, { imageRoot: folder.at('pictures') });
        assert.equal(records.length, 1);
        // Again: nothing is fetched, and the same is said.
        const before = hub.bytesSent;
        assert.equal((await run('download', 'fairfacegpt', '--output', output)).status, 0);
        assert.equal(hub.bytesSent, before);
      }
    });

    it('resumes a record after cuts, and refuses one with another hash', async () => {
      const bytes = pattern(300_000);
      publish('dataset.json', bytes);
      hub.fault = ({ path }) =>
        path.endsWith('/content') ? { kind: 'cut', after: 120_000 } : undefined;
      const { directory } = await get('fairfacegpt');
      assert.deepEqual(await readFile(join(directory, 'dataset.json')), bytes);
      hub.fault = () => undefined;
      publish('dataset.json', bytes, `md5:${'0'.repeat(32)}`);
      const error = await errorOf(get('fairfacegpt', { output: folder.at('other') }));
      assert.equal(error.code, 'FACELLM_DOWNLOAD_CORRUPT');
    });

    it('leaves folders alone that hold something else', async () => {
      publish('dataset.json', DATA);
      await folder.write('fairfacegpt/mine.txt', 'x');
      const error = await errorOf(get('fairfacegpt'));
      assert.match(error.message, /holds other files \(mine\.txt\)/);
      assert.deepEqual(await readdir(folder.at('fairfacegpt')), ['mine.txt']);
    });

    it('unpacks no archive that leads out, links, clashes, lies or explodes; nothing of it is written', async () => {
      const bytes = Buffer.from('x');
      const zeros = Buffer.alloc(80 * 2 ** 20);
      const cases: [Entry[], RegExp][] = [
        [[{ name: '../evil', bytes }], /relative path/i],
        [[{ name: '/evil', bytes }], /absolute path/i],
        [[{ name: 'a\\..\\..\\evil', bytes }], /relative path|invalid|leads out/i],
        [[{ name: 'a//b', bytes }], /leads out/],
        [[{ name: 'link', bytes: Buffer.from('/etc/passwd'), mode: 0o120777 }], /a link or device/],
        [
          [
            { name: 'a', bytes },
            { name: 'A', bytes },
          ],
          /another entry has its name/,
        ],
        [
          [
            { name: 'a', bytes },
            { name: 'a/b', bytes },
          ],
          /another entry has its name/,
        ],
        [[{ name: 'a', bytes, flags: 1, deflates: true }], /encrypted/],
        [[{ name: 'a', bytes, method: 12 }], /method 12/],
        [[{ name: 'zeros', bytes: zeros, deflates: true }], /bytes out of an archive of/],
        [
          [
            { name: 'a', bytes: pattern(500) },
            { name: 'b', bytes: pattern(500), sharesWith: 0 },
          ],
          /another entry's too/,
        ],
        [[{ name: 'a', bytes, crc: crc32(bytes) ^ 1 }], /checksum/],
        [[{ name: 'a', bytes: pattern(500), deflates: true, declares: 499 }], /damaged/],
      ];
      for (const [entries, message] of cases) {
        const archive = folder.at('archive.zip');
        await writeFile(archive, zipOf(entries));
        const output = folder.at('fairface');
        const error = await errorOf(get('fairface', { from: [archive], output }));
        assert.equal(error.code, 'FACELLM_DATA_INVALID', String(message));
        assert.match(error.message, message);
        assert.ok(!existsSync(folder.at('evil')) && !existsSync('/evil'));
        assert.ok(
          (await readdir(output)).every((name) => name === '.download'),
          String(message),
        );
      }
      await writeFile(folder.at('archive.zip'), 'no archive');
      assert.match(
        (await errorOf(get('fairface', { from: [folder.at('archive.zip')] }))).message,
        /no ZIP archive/,
      );
    });

    it('facexbench from its repository, every file by its git hash', async () => {
      const files = ['benchmark/a.json', 'benchmark/images/a/question_1.png'].map((path, i) => ({
        ...{ path, bytes: pattern(5000, i + 1) },
      }));
      const api = '/api.github.com/repos/Kartik-3004/facexbench';
      hub.texts.set(`${api}/commits/main`, JSON.stringify({ sha: 'd'.repeat(40) }));
      const tree = files.map(({ path, bytes }) => ({
        ...{ path, type: 'blob', mode: '100644', sha: gitBlob(bytes), size: bytes.length },
      }));
      const other = {
        path: 'README.md',
        type: 'blob',
        mode: '100644',
        sha: 'e'.repeat(40),
        size: 3,
      };
      hub.texts.set(
        `${api}/git/trees/${'d'.repeat(40)}`,
        JSON.stringify({ truncated: false, tree: [other, ...tree] }),
      );
      for (const { path, bytes } of files) {
        hub.served.set(
          `/raw.githubusercontent.com/Kartik-3004/facexbench/${'d'.repeat(40)}/${path}`,
          bytes,
        );
      }
      const { directory, version, next } = await get('facexbench');
      assert.equal(version, 'd'.repeat(40));
      for (const { path, bytes } of files)
        assert.deepEqual(await readFile(join(directory, path)), bytes);
      assert.match(next, /evaluate --benchmark facexbench --data/);
    });

    it('fairface says how it is come by, and takes what was fetched by hand', async () => {
      const error = await errorOf(get('fairface'));
      assert.equal(error.code, 'FACELLM_DATA_NOT_FOUND');
      assert.match(error.message, /Google Drive.*--from/);
      await writeFile(folder.at('faces.zip'), zipOf([{ name: 'val/1.jpg', bytes: pattern(100) }]));
      await folder.write('fairface_label_val.csv', 'file,age,gender,race,service_test\n');
      const from = [folder.at('faces.zip'), folder.at('fairface_label_val.csv')];
      const { directory, files } = await get('fairface', { from });
      assert.deepEqual(files, ['fairface_label_val.csv', 'val/1.jpg']);
      assert.deepEqual(await readFile(join(directory, 'val', '1.jpg')), pattern(100));
    });
  });
});
