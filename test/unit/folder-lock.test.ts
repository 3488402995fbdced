/** One process a folder, whatever has died before. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';

import { lockFolder } from '../../lib/files/index.js';
import { errorOf, TestFolder } from './checkpoint-folder.js';

const ROOT = join(import.meta.dirname, '..', '..');

describe('folder lock', () => {
  let folder: TestFolder;
  beforeEach(async () => {
    folder = await TestFolder.create();
  });
  afterEach(() => folder.remove());

  const lock = (owner: object): void =>
    writeFileSync(folder.at('run.lock'), JSON.stringify({ token: '0', ...owner }));

  it('is held once, given back, and leaves nothing behind', async () => {
    const unlock = await lockFolder(folder.path);
    const { code, message } = await errorOf(lockFolder(folder.path));
    assert.equal(code, 'FACELLM_RUN_INVALID');
    assert.match(message, /another run of this process/);
    await unlock();
    assert.deepEqual(readdirSync(folder.path), []);
    await (
      await lockFolder(folder.path)
    )();
  });

  it('a lock of a process that is gone, or that never was whole, is taken over', async () => {
    const host = hostname();
    for (const owner of [
      { host, pid: 2 ** 22 + 1, startedAt: '1' },
      // A container gives every process the same number: this one is not the one that locked.
      { host, pid: process.pid, startedAt: '1' },
      { host },
    ]) {
      lock(owner);
      const unlock = await lockFolder(folder.path);
      const held = JSON.parse(readFileSync(folder.at('run.lock'), 'utf8')) as { pid: number };
      assert.equal(held.pid, process.pid);
      await unlock();
      assert.deepEqual(readdirSync(folder.path), []);
    }
  });

  it("another machine's lock is believed, with the remedy", async () => {
    lock({ host: 'elsewhere', pid: 1, startedAt: '1' });
    const { code, message } = await errorOf(lockFolder(folder.path));
    assert.equal(code, 'FACELLM_RUN_INVALID');
    assert.match(
      message,
      /process 1 of elsewhere; if that machine has stopped, remove .*run\.lock/,
    );
  });

  it('of many processes at once one gets it', async () => {
    lock({ host: hostname(), pid: 2 ** 22 + 1, startedAt: '1' });
    const script =
      `import { lockFolder } from './lib/files/index.ts';` +
      `try { await lockFolder(process.argv[1]); console.log('taken'); setTimeout(() => {}, 60_000); }` +
      `catch (error) { console.log(error.code); }`;
    const children = Array.from({ length: 5 }, () =>
      spawn(
        process.execPath,
        ['--import=./test/support/tsx.mjs', '--input-type=module', '-e', script, folder.path],
        { cwd: ROOT },
      ),
    );
    const said = await Promise.all(
      children.map(
        (child) =>
          new Promise<string>((resolve) =>
            child.stdout.once('data', (text: Buffer) => resolve(text.toString().trim())),
          ),
      ),
    );
    for (const child of children) child.kill('SIGKILL');
    assert.deepEqual(said.sort(), [...new Array<string>(4).fill('FACELLM_RUN_INVALID'), 'taken']);
  });
});
