/** The demo's stages: done once, again when something that they depend on changed, and carried on when interrupted. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { FolderError, type Stage, StageCache } from '../../examples/demo/stage-cache.js';

describe('unit: stages of the demo', () => {
  let folder: string;
  let ran: string[];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-stages-'));
    ran = [];
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** Writes its name into its folder and returns what it found there. */
  function stage(name: string, inputs: unknown = {}, fails = false): Stage<{ found: boolean }> {
    return {
      name,
      inputs,
      outputs: [`${name}-out`],
      run: () => {
        ran.push(name);
        const out = join(folder, `${name}-out`);
        const found = existsSync(join(out, 'begun'));
        mkdirSync(out, { recursive: true });
        writeFileSync(join(out, 'begun'), '');
        return fails ? Promise.reject(new Error('ended')) : Promise.resolve({ found });
      },
    };
  }

  const open = (version = '1'): Promise<StageCache> => StageCache.open(folder, version);

  it('takes results from an earlier run', async () => {
    for (const [isCached, expected] of [
      [false, ['a', 'b']],
      [true, ['a', 'b']],
    ] as const) {
      const cache = await open();
      const outcomes = [await cache.run(stage('a', { x: 1 })), await cache.run(stage('b'))];
      for (const outcome of outcomes) {
        assert.equal(outcome.isCached, isCached);
        assert.deepEqual(outcome.result, { found: false });
        assert.ok(outcome.seconds >= 0);
      }
      assert.deepEqual(ran, expected);
    }
  });

  it('starts a stage over, without what it made, when its inputs changed', async () => {
    const first = await open();
    await first.run(stage('a'));
    await first.run(stage('b'));
    const second = await open();
    await second.run(stage('a'));
    const { result } = await second.run(stage('b', { y: 2 }));
    assert.deepEqual(result, { found: false });
    assert.deepEqual(ran, ['a', 'b', 'b']);
  });

  it('starts over after an earlier stage that changed, another version, and when told to', async () => {
    const all = async (cache: StageCache, inputs: unknown): Promise<void> => {
      await cache.run(stage('a', inputs));
      await cache.run(stage('b'));
    };
    await all(await open(), 1);
    await all(await open(), 2);
    await all(await open('2'), 2);
    const cache = await open('2');
    await cache.clear();
    await all(cache, 2);
    assert.deepEqual(ran, ['a', 'b', 'a', 'b', 'a', 'b', 'a', 'b']);
  });

  it('leaves to an interrupted stage what it made', async () => {
    await assert.rejects((await open()).run(stage('a', {}, true)), /ended/);
    const { result, isCached } = await (await open()).run(stage('a'));
    assert.deepEqual([result, isCached], [{ found: true }, false]);
  });

  it('does a stage again whose output or record is lost', async () => {
    await (await open()).run(stage('a'));
    rmSync(join(folder, 'a-out'), { recursive: true });
    await (await open()).run(stage('a'));
    writeFileSync(join(folder, 'stages', 'a.json'), '{"fingerp');
    await (await open()).run(stage('a'));
    assert.deepEqual(ran, ['a', 'a', 'a']);
  });

  it('keeps out of a folder that holds other files', async () => {
    writeFileSync(join(folder, 'thesis.tex'), '');
    await assert.rejects(open(), (error: Error) => {
      assert.ok(error instanceof FolderError);
      assert.match(error.message, /thesis\.tex.*--output/);
      return true;
    });
    rmSync(join(folder, 'thesis.tex'));
    // Of a smoke test.
    mkdirSync(join(folder, 'quick'));
    await open();
  });
});
