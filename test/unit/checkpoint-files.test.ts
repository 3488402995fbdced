/** lib/checkpoint/files: single file, shards, and everything that can be wrong with an index. */
import assert from 'node:assert/strict';
import { mkdir, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';

import { readCheckpointFiles } from '../../lib/checkpoint/index.js';
import { errorOf, GOLDEN, TestFolder } from './checkpoint-folder.js';

const INDEX = 'model.safetensors.index.json';

describe('readCheckpointFiles', () => {
  let folder: TestFolder;

  beforeEach(async () => {
    folder = await TestFolder.create();
    await folder.write('config.json', { model_type: 'internvl' });
  });
  afterEach(() => folder.remove());

  it('reads the golden checkpoints', async () => {
    const single = await readCheckpointFiles(join(GOLDEN, 'ckpt-300m'));
    assert.deepEqual(single.dataFiles, [join(GOLDEN, 'ckpt-300m', 'model.safetensors')]);
    assert.deepEqual(single.weightMap, []);
    assert.equal(single.layout, 'hf');

    const sharded = await readCheckpointFiles(join(GOLDEN, 'ckpt-6b'));
    assert.equal(sharded.dataFiles.length, 4);
    const map = new Map(sharded.weightMap);
    const file = map.get('language_model.model.embed_tokens.weight');
    assert.match(sharded.dataFiles[file ?? -1] ?? '', /model-00003-of-00004\.safetensors$/);
    assert.ok([...map.values()].every((index) => index >= 0 && index < 4));
  });

  it('lets the single file win over an index, and sums sizes', async () => {
    await folder.write('config.json', { model_type: 'internvl_chat' });
    await folder.write('b.safetensors', 'xyz');
    await folder.write('a.safetensors', 'x');
    await folder.write(INDEX, { weight_map: { t1: 'b.safetensors', t2: 'a.safetensors' } });
    const sharded = await readCheckpointFiles(folder.path);
    assert.equal(sharded.layout, 'original');
    assert.deepEqual(sharded.dataFiles, [folder.at('a.safetensors'), folder.at('b.safetensors')]);
    assert.deepEqual(sharded.weightMap, [
      ['t1', 1],
      ['t2', 0],
    ]);
    assert.equal(sharded.totalBytes, 4);

    await folder.write('model.safetensors', '12345');
    const single = await readCheckpointFiles(folder.path);
    assert.deepEqual(single.dataFiles, [folder.at('model.safetensors')]);
    assert.deepEqual([single.weightMap, single.totalBytes], [[], 5]);
  });

  it('lists every shard that cannot be used', async () => {
    await mkdir(folder.at('dir.safetensors'));
    await symlink(folder.at('blobs', 'gone'), folder.at('link.safetensors'));
    await folder.write('good.safetensors', 'x');
    const names = ['dir', 'link', 'good', 'gone'];
    const entries = names.map((name) => [`t.${name}`, `${name}.safetensors`]);
    await folder.write(INDEX, { weight_map: Object.fromEntries(entries) as object });
    const error = await errorOf(readCheckpointFiles(folder.path));
    assert.equal(error.code, 'FACELLM_CHECKPOINT_NOT_FOUND');
    assert.deepEqual(error.details, [
      'dir.safetensors: is not a regular file',
      'gone.safetensors: is missing',
      'link.safetensors: is missing',
    ]);
  });

  it('names Git LFS pointers and web pages in the place of weights, each of them', async () => {
    const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n';
    await folder.write('model.safetensors', pointer);
    const single = await errorOf(readCheckpointFiles(folder.path));
    assert.equal(single.code, 'FACELLM_CHECKPOINT_INVALID');
    assert.match(single.message, /model\.safetensors is a Git LFS pointer.*git lfs pull/);

    await rm(folder.at('model.safetensors'));
    await folder.write('a.safetensors', pointer);
    await folder.write('b.safetensors', '<!DOCTYPE html><html>');
    await folder.write('c.safetensors', 'x');
    const names = ['a.safetensors', 'b.safetensors', 'c.safetensors'];
    await folder.write(INDEX, {
      weight_map: Object.fromEntries(names.map((name) => [name, name])),
    });
    const { code, details } = await errorOf(readCheckpointFiles(folder.path));
    assert.equal(code, 'FACELLM_CHECKPOINT_INVALID');
    assert.deepEqual(
      details.map((line) => line.split(/,| \(/)[0]),
      ['a.safetensors is a Git LFS pointer', 'b.safetensors is a web page'],
    );
  });

  it('refuses indexes that lead out of the folder or are malformed', async () => {
    const outside = ['../a.safetensors', '/a.safetensors', 'x/a.safetensors', '..\\a.safetensors'];
    for (const name of [...outside, '', 'a.bin', '\0.safetensors', 7, null]) {
      await folder.write(INDEX, { weight_map: { good: 'g.safetensors', bad: name } });
      const error = await errorOf(readCheckpointFiles(folder.path));
      assert.equal(error.code, 'FACELLM_CHECKPOINT_INVALID', String(name));
      assert.equal(error.details.length, 1);
      assert.match(error.details[0] ?? '', /index\.json: weight_map\.bad: expected the name of/);
    }
    for (const index of [{}, { weight_map: [] }, { weight_map: 1 }, { weight_map: {} }]) {
      await folder.write(INDEX, index);
      const error = await errorOf(readCheckpointFiles(folder.path));
      assert.equal(error.code, 'FACELLM_CHECKPOINT_INVALID');
      assert.match(error.details[0] ?? '', /weight_map/);
    }
  });

  it('tells folders without weights, without config and with broken JSON', async () => {
    const noWeights = await errorOf(readCheckpointFiles(folder.path));
    assert.equal(noWeights.code, 'FACELLM_CHECKPOINT_NOT_FOUND');
    assert.match(noWeights.message, /no weights in .*model\.safetensors/);

    await folder.write(INDEX, '{"weight_map": {');
    const broken = await errorOf(readCheckpointFiles(folder.path));
    assert.equal(broken.code, 'FACELLM_CONFIG_INVALID');
    assert.match(broken.message, /index\.json is not JSON at line 1, column/);

    await folder.write('sub/x', '');
    const noConfig = await errorOf(readCheckpointFiles(folder.at('sub')));
    assert.equal(noConfig.code, 'FACELLM_CHECKPOINT_NOT_FOUND');
    assert.match(noConfig.message, /config\.json/);
  });
});
