/**
 * As a new user: what `npm pack` makes, in an empty folder, with the network cut off but for a hub on loopback, from no weights to a
 * table. Packages that it depends on are taken from here instead of the registry, and so is the compiled addon, whose build
 * `.ci/run` shows; none of the packages that only development needs is there.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { parse } from 'csv-parse/sync';

import * as golden from '../support/golden.js';
import { HubServer } from '../support/hub-server.js';

const ROOT = join(import.meta.dirname, '..', '..');
const PORTRAITS = ['A000014.jpg', 'A000109.jpg', 'B000208.jpg'];
/** What docs/download.md and docs/annotate.md tell to install besides. */
const BESIDES = ['@huggingface/hub', 'undici', 'yauzl'];

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
}

describe('e2e: a new user', function () {
  this.timeout(300_000);
  let folder: string;
  let hub: HubServer;
  const at = (...names: string[]): string => join(folder, ...names);

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-new-user-'));
    const packed = execFileSync(
      'npm',
      ['pack', '--json', '--ignore-scripts', '--pack-destination', folder],
      { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
    );
    const parsed = JSON.parse(packed) as unknown;
    const [pack] = (Array.isArray(parsed) ? parsed : Object.values(parsed as object)) as {
      readonly filename: string;
    }[];
    mkdirSync(at('node_modules'));
    execFileSync('tar', ['xzf', at(pack?.filename ?? ''), '-C', at('node_modules')]);
    execFileSync('mv', [at('node_modules', 'package'), at('node_modules', 'facellm')]);
    const manifest = JSON.parse(
      readFileSync(at('node_modules', 'facellm', 'package.json'), 'utf8'),
    ) as Manifest;
    for (const name of [...Object.keys(manifest.dependencies), ...BESIDES]) {
      mkdirSync(dirname(at('node_modules', name)), { recursive: true });
      symlinkSync(join(ROOT, 'node_modules', name), at('node_modules', name));
    }
    mkdirSync(at('photos', 'of friends'), { recursive: true });
    for (const [i, name] of PORTRAITS.entries()) {
      const own = i === 0 ? at('photos', 'of friends', name) : at('photos', name);
      cpSync(join(ROOT, 'examples', 'faces', 'congress', name), own);
    }
    const checkpoint = join(golden.GOLDEN, 'ckpt-300m');
    hub = await HubServer.start(
      readdirSync(checkpoint).map((path) => ({
        path,
        bytes: readFileSync(join(checkpoint, path)),
        isLarge: path.endsWith('.safetensors'),
      })),
    );
  });
  after(async () => {
    await hub?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  function facellm(...args: readonly string[]) {
    const guard = pathToFileURL(join(ROOT, 'test', 'support', 'loopback-only.mjs')).href;
    const main = at('node_modules', 'facellm', 'dist', 'cli', 'main.js');
    const addon = process.env['FACELLM_ADDON'] ?? join(ROOT, 'build', 'Release', 'facellm.node');
    const child = spawn(process.execPath, [`--import=${guard}`, main, ...args], {
      cwd: folder,
      env: {
        ...{ PATH: process.env['PATH'], HOME: folder, NO_COLOR: '1', FACELLM_ADDON: addon },
        HF_ENDPOINT: hub.url,
      },
    });
    const texts: [string, string] = ['', ''];
    child.stdout.on('data', (data: Buffer) => (texts[0] += data.toString()));
    child.stderr.on('data', (data: Buffer) => (texts[1] += data.toString()));
    return new Promise<{ status: number | null; stdout: string; stderr: string }>((resolve) =>
      child.on('close', (status) => resolve({ status, stdout: texts[0], stderr: texts[1] })),
    );
  }

  it('finds faces before there is a model', async () => {
    const { status, stdout, stderr } = await facellm('faces', `photos/${PORTRAITS[1]}`, '--json');
    assert.equal(status, 0, stderr);
    assert.equal((JSON.parse(stdout) as { found: number }).found, 1);
    assert.deepEqual(hub.seen, []);
  });

  it('is told the command that fetches the weights, and fetches them', async () => {
    const asked = ['annotate', 'photos', '--attributes', 'gender,smile', '--output', 'out.csv'];
    const without = await facellm(...asked, '--model', 'org/model');
    assert.equal(without.status, 1);
    assert.match(without.stderr, /facellm download org\/model/);
    const { status, stdout, stderr } = await facellm('download', 'org/model');
    assert.equal(status, 0, stderr);
    assert.ok(existsSync(join(stdout.trim(), 'model.safetensors')));
  });

  it('makes a table, a sheet and a report of a folder', async () => {
    const asked = hub.seen.length;
    const { status, stderr } = await facellm(
      ...['annotate', 'photos', '--model', 'org/model', '--attributes', 'gender,smile'],
      ...['--output', 'out.csv', 'out.jsonl', '--sheet', 'check.html', '--group-from', 'folder'],
    );
    assert.equal(status, 0, stderr);
    const rows: Record<string, string>[] = parse(readFileSync(at('out.csv')), { columns: true });
    assert.deepEqual(
      rows.map(({ file, status: own, faces_found: found }) => [file, own, found]),
      [PORTRAITS[1], PORTRAITS[2], `of friends/${PORTRAITS[0]}`].map((name) => [name, 'ok', '1']),
    );
    for (const row of rows) {
      const sum = Number(row['smile_p_smiling']) + Number(row['smile_p_not_smiling']);
      assert.ok(Math.abs(sum - 1) < 1e-6);
    }
    assert.match(readFileSync(at('check.html'), 'utf8'), /data:image\/jpeg/);
    assert.ok(existsSync(at('out.csv.groups', 'groups.html')));
    assert.equal(hub.seen.length, asked, 'and asks nobody');
  });
});
