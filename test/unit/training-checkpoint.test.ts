/** A run's result at the top of its folder: all of it, or what was there before. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { NativeTrainer } from '../../lib/binding/native.js';
import type { Job } from '../../lib/distributed/index.js';
import {
  readState,
  removePartial,
  saveResult,
  type TrainerState,
} from '../../lib/training/checkpoint-folder.js';
import { agreeOnStart } from '../../lib/training/rank.js';
import { RunCheckpoints } from '../../lib/training/run-checkpoints.js';
import { NONE_YET } from '../../lib/training/validation/best.js';
import { errorOf, TestFolder } from './checkpoint-folder.js';

describe('unit: checkpoints of a run', () => {
  let folder: TestFolder;
  let saved: number[];
  let checkpoints: RunCheckpoints;
  let write: (directory: string) => Promise<void>;
  beforeEach(async () => {
    write = (directory) => writeFile(join(directory, 'adapter_model.safetensors'), 'weights');
    folder = await TestFolder.create();
    saved = [];
    checkpoints = new RunCheckpoints({
      ...{ output: folder.path, keep: 2 },
      trainer: {
        saveState: (file: string) => ({ promise: writeFile(file, 'moments') }),
      } as unknown as NativeTrainer,
      write: (directory) => write(directory),
      onSaved: (step) => saved.push(step),
    });
  });
  afterEach(() => folder.remove());
  const state = (step: number, best?: number): TrainerState => ({
    ...{ step, totalSteps: 9, totalTokens: 0, inputs: {}, lastLoss: 0 },
    ...{ unloggedLoss: 0, unloggedSteps: 0, setAside: [] },
    validation: best === undefined ? NONE_YET : { ...NONE_YET, best: { step: best, value: 1 } },
  });

  it('reach the disk beside what comes next, one after another', async () => {
    await checkpoints.save(state(1));
    // The updates go on from here: nothing else has run since.
    assert.deepEqual(saved, []);
    await checkpoints.save(state(2));
    assert.deepEqual(saved, [1]);
    await checkpoints.settled();
    assert.deepEqual(saved, [1, 2]);
    assert.deepEqual((await readdir(folder.path)).sort(), ['checkpoint-1', 'checkpoint-2']);
  });

  it('older ones go, the best does not', async () => {
    for (const step of [1, 2, 3, 4]) await checkpoints.save(state(step, 1));
    await checkpoints.settled();
    const left = ['checkpoint-1', 'checkpoint-3', 'checkpoint-4'];
    assert.deepEqual((await readdir(folder.path)).sort(), left);
  });

  it('say when waiting for a better validation ended, as earlier versions did in their own words', async () => {
    const best = { step: 3, value: 0.5 };
    await checkpoints.save({ ...state(7), validation: { best, sinceBest: 2, endedAt: 5 } });
    await checkpoints.settled();
    const directory = join(folder.path, 'checkpoint-7');
    const path = join(directory, 'trainer_state.json');
    assert.deepEqual((await readState(directory)).validation, { best, sinceBest: 2, endedAt: 5 });
    const now = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
    for (const [isOver, endedAt] of [
      [true, 7],
      [false, null],
    ] as const) {
      await writeFile(path, JSON.stringify({ ...now, validation: { best, sinceBest: 2, isOver } }));
      assert.equal((await readState(directory)).validation.endedAt, endedAt);
    }
  });

  it('reach every rank of a job as its leader has read them', async () => {
    const trainer = {
      synchronise: () => ({ promise: Promise.resolve() }),
    } as unknown as NativeTrainer;
    for (const validation of [
      { best: { step: 3, value: 0.5 }, sinceBest: 2, endedAt: 5 },
      { best: null, sinceBest: 1, endedAt: null },
    ]) {
      const own = { ...state(7), validation };
      // What the leader gives is the sum: the other ranks give zeros.
      const given: (readonly number[])[] = [];
      const job = (isLeader: boolean): Job =>
        ({
          ...{ group: {}, isLeader, rank: isLeader ? 0 : 1, size: 2 },
          sum(values: readonly number[]) {
            if (isLeader) given.push(values);
            return Promise.resolve(isLeader ? values : (given.shift() ?? values));
          },
        }) as unknown as Job;
      assert.deepEqual(await agreeOnStart(job(true), trainer, own, []), own);
      assert.deepEqual(await agreeOnStart(job(false), trainer, state(0), []), own);
    }
  });

  it('one that does not reach the disk is told by the next, and at the end', async () => {
    // What cannot be opened cannot be waited for.
    write = (directory) => symlink('nowhere', join(directory, 'adapter_model.safetensors'));
    await checkpoints.save(state(1));
    for (const end of [checkpoints.settled(), checkpoints.save(state(2))]) {
      assert.equal((await errorOf(end)).code, 'FACELLM_RUN_WRITE');
    }
    assert.deepEqual(saved, []);
  });
});

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
    await removePartial(folder.path);
    assert.deepEqual(await readdir(folder.path), ['other.partial']);
  });
});
