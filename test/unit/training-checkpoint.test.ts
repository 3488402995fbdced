/** A run's result at the top of its folder: all of it, or what was there before. */
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
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

  it('what a crash left half written goes with the next start', async () => {
    await mkdir(folder.at('result.partial'));
    await mkdir(folder.at('checkpoint-3.partial'));
    await mkdir(folder.at('other.partial'));
    await tidyCheckpoints(folder.path, 0);
    assert.deepEqual(await readdir(folder.path), ['other.partial']);
  });
});
