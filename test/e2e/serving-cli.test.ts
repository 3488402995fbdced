/** `facellm keygen` and `facellm serve` as processes: a configuration file, keys, an adapter, and ends by signals. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { writeAdapter } from '../support/adapters.js';
import * as golden from '../support/golden.js';
import { CHECKPOINT, request, until } from '../support/server.js';

const ROOT = join(import.meta.dirname, '..', '..');
const MAIN = join(ROOT, 'dist', 'cli', 'main.js');

const facellm = (...args: string[]) =>
  spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8', cwd: ROOT });

interface Started {
  readonly child: ChildProcess;
  readonly url: string;
  /** What it has written to stderr. */
  readonly told: () => string;
  readonly code: Promise<number | null>;
}

const children: ChildProcess[] = [];

async function start(args: readonly string[]): Promise<Started> {
  const child = spawn(process.execPath, [MAIN, 'serve', '--device', golden.TEST_DEVICE, ...args], {
    cwd: ROOT,
  });
  children.push(child);
  let [out, told] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (told += chunk.toString()));
  const code = once(child, 'exit').then(([exit]) => exit as number | null);
  await until(() => out.includes('\n') || child.exitCode !== null);
  assert.equal(child.exitCode, null, told);
  return { child, url: out.trim(), told: () => told, code };
}

describe('serving: the command', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-serve-'));
  });
  after(() => {
    for (const child of children) child.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  });

  it('keygen: the key for its holder, the line for the server; names and rights are checked', () => {
    const made = facellm('keygen', 'team', '--rights', 'infer', 'metrics');
    assert.equal(made.status, 0, made.stderr);
    assert.match(made.stdout, /^fk-[\w-]{43}\nteam:[0-9a-f]{64}:infer,metrics\n$/);
    for (const args of [['a b'], ['team', '--rights', 'root']]) {
      const refused = facellm('keygen', ...args);
      assert.notEqual(refused.status, 0);
      assert.equal(refused.stdout, '');
    }
  });

  it('--config: flags of a file, the command line before it, keys, an adapter as a model, a clean end', async () => {
    const [key = '', line = ''] = facellm('keygen', 'team').stdout.split('\n');
    const keys = join(folder, 'keys');
    writeFileSync(keys, `# who may ask\n${line}\n`);
    await writeAdapter(CHECKPOINT, join(folder, 'smile'), { seed: 11, b: 0.3 });
    const config = join(folder, 'serve.yaml');
    writeFileSync(
      config,
      [
        `model: ${JSON.stringify(CHECKPOINT)}`,
        `adapter: [${JSON.stringify(join(folder, 'smile'))}]`,
        `api-keys: ${JSON.stringify(keys)}`,
        'served-name: from-file',
        'max-n: 2',
        'dtype: fp32',
        'port: 0',
      ].join('\n'),
    );
    const { child, url, told, code } = await start(['--config', config, '--served-name', 'mine']);
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
    assert.equal((await request(`${url}/v1/models`)).status, 401);
    const models = await request(`${url}/v1/models`, { headers });
    assert.deepEqual(
      (models.json['data'] as { id: string }[]).map(({ id }) => id),
      ['mine', 'smile'],
    );
    const ask = (more: object): Promise<{ status: number; text: string }> =>
      request(`${url}/v1/chat/completions`, {
        ...{ method: 'POST', headers },
        body: JSON.stringify({ messages: [{ role: 'user', content: 'Hi?' }], ...more }),
      });
    assert.equal((await ask({ max_tokens: 2, n: 3 })).status, 400);
    assert.equal((await ask({ max_tokens: 2, model: 'smile' })).status, 200);
    const stream = ask({ max_tokens: 400, min_tokens: 400, stream: true });
    await until(async () => {
      const { json } = await request(`${url}/ready`);
      assert.equal(json['status'], 'ready');
      return true;
    });
    await new Promise((resolve) => setTimeout(resolve, 100));
    child.kill('SIGTERM');
    assert.match((await stream).text, /data: \[DONE\]\n\n$/);
    assert.equal(await code, 0, told());
    assert.ok(!told().includes(key) && !told().includes('Hi?'));
  });

  it('--config names every flag that is none, and what no flag takes', () => {
    const config = join(folder, 'wrong.yaml');
    writeFileSync(config, 'prot: 1\nno-such: x\nconfig: other.yaml\nmax-n: [1, 2]\n');
    const refused = facellm('serve', '--config', config);
    assert.notEqual(refused.status, 0);
    for (const text of ['prot: there is no such flag', 'port', 'no-such', 'config', 'max-n'])
      assert.ok(refused.stderr.includes(text), `${text} in ${refused.stderr}`);
    writeFileSync(config, 'max-n: zero\n');
    assert.match(facellm('serve', '--config', config).stderr, /max-n/);
    writeFileSync(config, '- a\n');
    assert.match(facellm('serve', '--config', config).stderr, /expected flags with their values/);
    assert.match(facellm('serve', '--config', join(folder, 'none')).stderr, /cannot be read/);
    assert.match(facellm('serve').stderr, /--model: expected/);
  });

  it('a second signal ends at once, with the code that supervisors know', async () => {
    const { child, url, code } = await start([
      '--model',
      CHECKPOINT,
      '--port',
      '0',
      '--dtype',
      'fp32',
    ]);
    const gone = request(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        messages: [{ role: 'user', content: 'Hi?' }],
        ...{ max_tokens: 4000, min_tokens: 4000, stream: true },
      }),
    }).catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 200));
    child.kill('SIGTERM');
    await until(async () => {
      const { json } = await request(`${url}/ready`);
      return json['status'] === 'draining';
    });
    child.kill('SIGTERM');
    assert.equal(await code, 143);
    await gone;
  });
});
