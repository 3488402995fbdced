/** What `train()` is asked for that it cannot do, and adapters by their hub id. */
import assert from 'node:assert/strict';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createModel, nano, nanoShape, train, type TrainOptions } from '../../lib/index.js';
import { TEST_DEVICE } from '../support/golden.js';
import { BASE, DATASET, goldenRecipe, goldenRun } from '../support/training.js';

describe('end to end: options of train()', function () {
  this.timeout(120_000);
  let folder: string;
  const at = (...names: string[]): string => join(folder, ...names);
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-options-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  function options(output: string, more: Partial<TrainOptions> = {}): TrainOptions {
    const recipe = { ...goldenRecipe(goldenRun('train-lora')), maxSteps: 1 };
    return { recipe, model: BASE, data: DATASET, output: at(output), device: TEST_DEVICE, ...more };
  }

  it('a head that is tied to the embedding is trained with the text, and refused without it', async () => {
    const texts = ['A face in the light.'];
    const { directory: model } = await createModel({
      output: at('tied'),
      texts,
      shape: nanoShape(),
    });
    const own = { ...nano(), maxSteps: 1, batchSize: 1 };
    for (const parts of [['head'], ['vision', 'head']] as const) {
      const wanted = options('head', { model, recipe: { ...own, parts } });
      await assert.rejects(async () => train(wanted), {
        code: 'FACELLM_INVALID_ARGUMENT',
        message: /head has no tensor of its own.*tied.*add text/,
      });
    }
    const whole = options('text', { model, recipe: { ...own, parts: ['text', 'head'] } });
    assert.ok((await train(whole)).isComplete);
  });

  it('starts from an adapter by its hub id in the local cache', async () => {
    await train(options('first'));
    const commit = 'a'.repeat(40);
    const repository = at('hub', 'models--someone--faces');
    mkdirSync(join(repository, 'refs'), { recursive: true });
    writeFileSync(join(repository, 'refs', 'main'), commit);
    const snapshot = join(repository, 'snapshots', commit);
    mkdirSync(snapshot, { recursive: true });
    for (const name of ['adapter_config.json', 'adapter_model.safetensors']) {
      cpSync(at('first', name), join(snapshot, name));
    }
    const before = process.env['HF_HUB_CACHE'];
    process.env['HF_HUB_CACHE'] = at('hub');
    try {
      await train(options('by-id', { adapter: 'someone/faces' }));
      await train(options('by-folder', { adapter: snapshot }));
    } finally {
      if (before === undefined) delete process.env['HF_HUB_CACHE'];
      else process.env['HF_HUB_CACHE'] = before;
    }
    const adapter = (output: string): Buffer =>
      readFileSync(at(output, 'adapter_model.safetensors'));
    assert.ok(adapter('by-id').equals(adapter('by-folder')));
    assert.ok(!adapter('by-id').equals(adapter('first')));
    const { adapter: named } = JSON.parse(readFileSync(at('by-id', 'run.json'), 'utf8')) as {
      adapter: string;
    };
    assert.equal(named, 'someone/faces');
  });

  it('a stop before the first update ends the run there, and saves nothing', async () => {
    const early = train(options('early'));
    early.stop();
    await assert.rejects(async () => early, {
      code: 'FACELLM_CANCELLED',
      message: /before its first update/,
    });
    const loaded = train(options('loaded'));
    for await (const event of loaded) if (event.type === 'start') loaded.stop();
    const { steps, isComplete, checkpoint } = await loaded;
    assert.deepEqual([steps, isComplete, checkpoint], [0, false, undefined]);
    for (const output of ['early', 'loaded']) assert.ok(!existsSync(at(output, 'checkpoint-1')));
    assert.ok((await train(options('loaded'))).isComplete);
  });
});
