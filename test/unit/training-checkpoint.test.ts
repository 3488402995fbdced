/** A run's result at the top of its folder: all of it, or what was there before. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { saveResult, tidyCheckpoints } from '../../lib/training/checkpoint-folder.js';
import { errorOf, TestFolder } from './checkpoint-folder.js';

describe('unit: the result of a run', () => {
  let folder: TestFolder;
  beforeEach(async () => (folder = await TestFolder.create()));
  afterEach(() => folder.remove());

  const write = (text: string) => async (directory: string) => {
    for (const name of ['adapter_config.json', 'adapter_model.safetensors', 'tokenizer.json']) {
      await writeFile(join(directory, name), text);
    }
  };
  const read = (name: string): Promise<string> => readFile(folder.at(name), 'utf8');

  it('replaces an older one whole', async () => {
    await saveResult(folder.path, write('old'));
    await saveResult(folder.path, write('new'));
    const names = ['adapter_config.json', 'adapter_model.safetensors', 'tokenizer.json'];
    assert.deepEqual((await readdir(folder.path)).sort(), names);
    for (const name of names) assert.equal(await read(name), 'new');
  });

  it('leaves an older one as it was where writing fails half way', async () => {
    await saveResult(folder.path, write('old'));
    const failing = async (directory: string): Promise<void> => {
      await writeFile(join(directory, 'adapter_model.safetensors'), 'new');
      throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
    };
    const { code, message } = await errorOf(saveResult(folder.path, failing));
    assert.equal(code, 'FACELLM_RUN_WRITE');
    assert.match(message, /no space left/);
    assert.equal(await read('adapter_model.safetensors'), 'old');
    assert.ok(!(await readdir(folder.path)).some((name) => name.endsWith('.partial')));
  });

  it('at no instant a mixture: a kill leaves the older result, none that loads, or the new one', async () => {
    const names = ['adapter_config.json', 'adapter_model.safetensors', 'tokenizer.json'];
    const seen = new Set<string>();
    const text = (name: string): string => {
      try {
        return readFileSync(folder.at(name), 'utf8');
      } catch {
        return 'absent';
      }
    };
    // What lies there at an instant: the configuration is the same before the other files are read and after.
    const look = (): void => {
      const texts = [...names, 'adapter_config.json'].map(text);
      if (texts[0] !== texts.at(-1)) return;
      seen.add(texts[0] === 'absent' ? 'none' : [...new Set(texts)].join(' and '));
    };
    await saveResult(folder.path, write('0'));
    for (let round = 1; round <= 30; round++) {
      let isDone = false;
      const saving = saveResult(folder.path, write(`${round}`)).finally(() => (isDone = true));
      while (!isDone) {
        look();
        await new Promise((resolve) => setImmediate(resolve));
      }
      await saving;
    }
    assert.ok(seen.has('none') && seen.has('0'), [...seen].join(', '));
    assert.deepEqual(
      [...seen].filter((state) => / and /.test(state)),
      [],
    );
  });

  it('where a rename fails half way nothing is left that loads', async () => {
    await saveResult(folder.path, write('old'));
    await rm(folder.at('tokenizer.json'));
    await mkdir(folder.at('tokenizer.json', 'taken'), { recursive: true });
    const { code } = await errorOf(saveResult(folder.path, write('new')));
    assert.equal(code, 'FACELLM_RUN_WRITE');
    assert.ok(!existsSync(folder.at('adapter_config.json')));
    await rm(folder.at('tokenizer.json'), { recursive: true });
    await saveResult(folder.path, write('new'));
    assert.equal(await read('adapter_config.json'), 'new');
  });

  it('what a crash left half written goes with the next start', async () => {
    await mkdir(folder.at('result.partial'));
    await mkdir(folder.at('checkpoint-3.partial'));
    await mkdir(folder.at('other.partial'));
    await tidyCheckpoints(folder.path, 0);
    assert.deepEqual(await readdir(folder.path), ['other.partial']);
  });
});
