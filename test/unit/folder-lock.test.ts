/** One process a folder, whatever has died before. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
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

  /** A lock as a process leaves it that was killed. */
  const lock = (owner: object, name = 'run.lock'): void => {
    mkdirSync(folder.at(name));
    writeFileSync(folder.at(name, 'owner.json'), JSON.stringify({ token: 't0', ...owner }));
  };
  const gone = { host: hostname(), pid: 2 ** 22 + 1, startedAt: '1' };

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

  const left: Readonly<Record<string, () => void>> = {
    'is gone': () => lock(gone),
    // A container gives every process the same number: this one is not the one that locked.
    'has its number used by another': () => lock({ ...gone, pid: process.pid }),
    'was of an earlier start of the machine': () =>
      lock({ host: hostname(), boot: 'before', pid: process.pid, startedAt: '1' }),
    'never was whole': () => lock({ host: hostname() }),
    'died after another that had died': () => {
      lock(gone);
      lock({ ...gone, token: 't1' }, 'run.lock.after-t0');
    },
    // The name in it goes first.
    'died while it gave it back': () => mkdirSync(folder.at('run.lock.old-t0-0')),
    'died on the way': () => lock(gone, 'run.lock.new-t0'),
    'was an earlier version': () =>
      writeFileSync(folder.at('run.lock'), JSON.stringify({ ...gone, token: 't0' })),
  };
  for (const [what, prepare] of Object.entries(left)) {
    it(`the lock of a process that ${what} holds nobody up, and is cleared away`, async () => {
      prepare();
      const unlock = await lockFolder(folder.path);
      await unlock();
      assert.deepEqual(readdirSync(folder.path), []);
    });
  }

  it("another machine's and another container's lock is believed, with the remedy", async () => {
    for (const owner of [
      { host: 'elsewhere', pid: 1, startedAt: '1' },
      { host: hostname(), pidNamespace: 'pid:[1]', pid: 1, startedAt: '1' },
    ]) {
      lock(owner);
      const { code, message } = await errorOf(lockFolder(folder.path));
      assert.equal(code, 'FACELLM_RUN_INVALID');
      assert.match(
        message,
        /process 1 of .*(elsewhere|another container); if it has ended, remove .*run\.lock/,
      );
      rmSync(folder.at('run.lock'), { recursive: true });
    }
  });

  it('a folder of that name that is no lock is named', async () => {
    mkdirSync(folder.at('run.lock', 'inner'), { recursive: true });
    const { code, message } = await errorOf(lockFolder(folder.path));
    assert.equal(code, 'FACELLM_RUN_INVALID');
    assert.match(message, /names no process that holds it; remove it/);
  });

  /** Processes that all want the folder, again and again; each notes alone in a file while it holds it. */
  const contend = (rounds: number): string => `
    import { writeFileSync, rmSync } from 'node:fs';
    import { lockFolder } from './lib/files/index.ts';
    const folder = process.argv[1];
    let taken = 0;
    for (let round = 0; round < ${rounds}; round++) {
      let unlock;
      try { unlock = await lockFolder(folder); }
      catch (error) { if (error.code !== 'FACELLM_RUN_INVALID') throw error; continue; }
      // Fails where another holds the folder, too.
      writeFileSync(folder + '.alone', '', { flag: 'wx' });
      taken++;
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 3));
      rmSync(folder + '.alone');
      if (Math.random() < 0.1) process.exit(0); // without giving it back, as a crash
      await unlock();
    }
    console.log(taken);`;

  function start(script: string): Promise<string> {
    const child = spawn(
      process.execPath,
      ['--import=./test/support/tsx.mjs', '--input-type=module', '-e', script, folder.path],
      { cwd: ROOT },
    );
    let [out, told] = ['', ''];
    child.stdout.on('data', (text: Buffer) => (out += text.toString()));
    child.stderr.on('data', (text: Buffer) => (told += text.toString()));
    return new Promise((resolve, reject) =>
      child.on('close', (code) => (code === 0 ? resolve(out) : reject(new Error(told)))),
    );
  }

  it('of many processes at once one gets it, also after owners that died', async () => {
    lock(gone);
    await Promise.all(Array.from({ length: 6 }, () => start(contend(150))));
    const unlock = await lockFolder(folder.path);
    await unlock();
    assert.deepEqual(readdirSync(folder.path), []);
  });
});
