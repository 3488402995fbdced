/** lib/checkpoint/resolve: paths, hub ids in temporary Hugging Face caches, and what errors say. */
import assert from 'node:assert/strict';
import { join } from 'node:path';

import { hubCacheFolder } from '../../lib/checkpoint/hub-cache.js';
import { resolveCheckpoint } from '../../lib/checkpoint/resolve.js';
import { errorOf, TestFolder } from './checkpoint-folder.js';

const COMMIT = '0123456789abcdef0123456789abcdef01234567';
const ID = 'some-org/Some.Model_1B-hf';
const REPOSITORY = 'models--some-org--Some.Model_1B-hf';

describe('resolveCheckpoint', () => {
  let folder: TestFolder;

  beforeEach(async () => {
    folder = await TestFolder.create();
  });
  afterEach(() => folder.remove());

  async function cacheModel(hub: string): Promise<string> {
    await folder.write(join(hub, REPOSITORY, 'refs', 'main'), `${COMMIT}\n`);
    await folder.write(join(hub, REPOSITORY, 'snapshots', COMMIT, 'config.json'), {});
    await folder.write(join(hub, REPOSITORY, 'snapshots', COMMIT, 'inner', 'config.json'), {});
    return folder.at(hub, REPOSITORY, 'snapshots', COMMIT);
  }

  it('takes an existing folder as it is', async () => {
    assert.equal(await resolveCheckpoint(folder.path), folder.path);
    await folder.write('sub/dir/config.json', {});
    const options = { subfolder: 'sub/dir' };
    assert.equal(await resolveCheckpoint(folder.path, options), folder.at('sub/dir'));
    assert.equal(await resolveCheckpoint(folder.path, { subfolder: '' }), folder.path);
  });

  it('tells absent paths, files and absent subfolders', async () => {
    await folder.write('file', 'x');
    const cases = [
      [folder.at('absent'), {}, folder.at('absent'), 'does not exist'],
      [folder.at('file'), {}, folder.at('file'), 'is a file'],
      [folder.path, { subfolder: 'absent' }, folder.at('absent'), 'does not exist'],
      [folder.path, { subfolder: 'file' }, folder.at('file'), 'is a file'],
      ['./no/such', {}, 'no/such', 'does not exist'],
      ['no-such-folder', {}, 'no-such-folder', 'does not exist'],
      ['a/b/c', {}, 'a/b/c', 'does not exist'],
      ['../x/y', {}, 'x/y', 'does not exist'],
    ] as const;
    for (const [model, options, place, what] of cases) {
      const error = await errorOf(resolveCheckpoint(model, options));
      assert.equal(error.code, 'FACELLM_CHECKPOINT_NOT_FOUND', model);
      assert.ok(error.message.includes(`${place} ${what}`), error.message);
    }
  });

  it('finds hub ids in the cache by each setting', async () => {
    const cases: [string, NodeJS.ProcessEnv][] = [
      ['a', { HF_HUB_CACHE: folder.at('a'), HF_HOME: folder.at('wrong') }],
      ['b', { HUGGINGFACE_HUB_CACHE: folder.at('b'), HF_HOME: folder.at('wrong') }],
      ['c/hub', { HF_HOME: folder.at('c'), XDG_CACHE_HOME: folder.at('wrong') }],
      ['d/huggingface/hub', { XDG_CACHE_HOME: folder.at('d'), HOME: folder.at('wrong') }],
      ['e/.cache/huggingface/hub', { HOME: folder.at('e') }],
      ['f/x', { HF_HUB_CACHE: '~/x', HOME: folder.at('f') }],
    ];
    for (const [hub, env] of cases) {
      const snapshot = await cacheModel(hub);
      assert.equal(hubCacheFolder(env).path, folder.at(hub));
      assert.equal(await resolveCheckpoint(ID, { env }), snapshot);
      const inner = await resolveCheckpoint(ID, { env, subfolder: 'inner' });
      assert.equal(inner, join(snapshot, 'inner'));
    }
  });

  it('finds revisions by branch, pull request and commit', async () => {
    const snapshot = await cacheModel('hub');
    const env = { HF_HUB_CACHE: folder.at('hub') };
    await folder.write(join('hub', REPOSITORY, 'refs', 'refs', 'pr', '3'), COMMIT);
    for (const revision of ['main', 'refs/pr/3', COMMIT]) {
      assert.equal(await resolveCheckpoint(ID, { env, revision }), snapshot);
    }
    for (const revision of ['dev', 'refs', 'f'.repeat(40)]) {
      const error = await errorOf(resolveCheckpoint(ID, { env, revision }));
      assert.equal(error.code, 'FACELLM_HUB_NOT_CACHED');
      assert.ok(error.message.includes(`--revision ${revision}`), error.message);
      assert.ok(error.message.includes(folder.at('hub', REPOSITORY)), error.message);
    }
  });

  it('says where it looked and how to get a model that is not cached', async () => {
    const env = { HF_HOME: folder.at('home') };
    const error = await errorOf(resolveCheckpoint(ID, { env, subfolder: 'inner' }));
    assert.equal(error.code, 'FACELLM_HUB_NOT_CACHED');
    assert.equal(error.name, 'CheckpointError');
    assert.ok(error.message.includes(`facellm download ${ID} --include "inner/*"`), error.message);
    assert.ok(error.message.includes(folder.at('home', 'hub', REPOSITORY)), error.message);
    assert.ok(error.message.includes('cache by HF_HOME'), error.message);
    assert.equal(error.details.length, 2);
    assert.ok(!error.message.includes('OFFLINE'));
    const offline = { ...env, HF_HUB_OFFLINE: '1' };
    assert.match(
      (await errorOf(resolveCheckpoint(ID, { env: offline }))).message,
      /HF_HUB_OFFLINE/,
    );
  });

  it('does not trust what a cache holds', async () => {
    await folder.write(join('hub', REPOSITORY, 'refs', 'main'), '../../..');
    const env = { HF_HUB_CACHE: folder.at('hub') };
    assert.equal((await errorOf(resolveCheckpoint(ID, { env }))).code, 'FACELLM_HUB_NOT_CACHED');
  });

  it('refuses empty names and ways out of the folder', async () => {
    const bad: Promise<string>[] = [
      resolveCheckpoint(' '),
      resolveCheckpoint('a\0b'),
      ...['..', '../x', '/etc', 'a/../b', 'a//b', 'a\\..\\b'].flatMap((path) => [
        resolveCheckpoint(folder.path, { subfolder: path }),
        resolveCheckpoint(ID, { revision: path, env: {} }),
      ]),
    ];
    for (const action of bad) {
      assert.equal((await errorOf(action)).code, 'FACELLM_INVALID_ARGUMENT');
    }
  });
});
