/** A run is resumed only from what it was begun with: another model, data or pictures are told by name. */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import sharp from 'sharp';

import { type FaceLlmError, train, type TrainOptions } from '../../lib/index.js';
import { TEST_DEVICE } from '../support/golden.js';
import { BASE, goldenRecipe, goldenRun } from '../support/training.js';

const STEPS = 2;

async function plainPicture(background: string): Promise<Buffer> {
  const create = { width: 60, height: 60, channels: 3 as const, background };
  return sharp({ create }).png({ compressionLevel: 0 }).toBuffer();
}

describe('end to end: resuming with other inputs', function () {
  this.timeout(120_000);
  let folder: string;
  const at = (...names: string[]): string => join(folder, ...names);

  function writeData(answer: string): void {
    const record = {
      conversations: [
        { from: 'human', value: '<image>What is it?' },
        { from: 'gpt', value: answer },
      ],
      images: ['a.png'],
    };
    writeFileSync(at('begun', 'data.json'), JSON.stringify([record, record]));
  }

  function options(home: string, more: Partial<TrainOptions> = {}): TrainOptions {
    const recipe = { ...goldenRecipe(goldenRun('train-lora')), maxSteps: STEPS, saveEvery: 1 };
    return {
      ...{ recipe, model: at(home, 'base'), data: at(home, 'data.json'), device: TEST_DEVICE },
      ...{ output: at(home, 'run'), ...more },
    };
  }

  async function changes(more: Partial<TrainOptions> = {}): Promise<string[]> {
    try {
      await train(options('begun', more));
    } catch (error) {
      assert.equal((error as FaceLlmError).code, 'FACELLM_RUN_INVALID');
      return (error as FaceLlmError).details.map((detail) => detail.split(':')[0] ?? '');
    }
    return [];
  }

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-resume-'));
    cpSync(BASE, at('begun', 'base'), { recursive: true });
    writeFileSync(at('begun', 'a.png'), await plainPicture('#c04020'));
    writeData('A plain red square.');
    await train(options('begun'));
    rmSync(at('begun', 'run', `checkpoint-${STEPS}`), { recursive: true });
  });
  after(() => rmSync(folder, { recursive: true }));

  it('the same inputs in another place are the same', async () => {
    cpSync(at('begun'), at('moved'), { recursive: true });
    assert.ok((await train(options('moved'))).isComplete);
  });

  it('another picture of equal size', async () => {
    const [own, other] = [readFileSync(at('begun', 'a.png')), await plainPicture('#2040c0')];
    assert.equal(own.length, other.length);
    writeFileSync(at('begun', 'a.png'), other);
    assert.deepEqual(await changes(), ['the pictures']);
    writeFileSync(at('begun', 'a.png'), own);
  });

  it('another base model of equal size, even if a single tensor differs', async () => {
    const path = at('begun', 'base', 'model.safetensors');
    const own = readFileSync(path);
    const header = Number(own.readBigUInt64LE(0));
    const tensors = JSON.parse(own.toString('utf8', 8, 8 + header)) as Record<
      string,
      { data_offsets: [number, number] }
    >;
    const [name, place] = Object.entries(tensors).filter(([key]) => /norm/.test(key))[3] ?? [];
    assert.ok(name !== undefined && place !== undefined);
    const other = Buffer.from(own);
    const [begin, end] = place.data_offsets;
    for (let i = 8 + header + begin; i < 8 + header + end; i += 4) other[i] = (other[i] ?? 0) ^ 1;
    writeFileSync(path, other);
    assert.equal(statSync(path).size, own.length);
    assert.deepEqual(await changes(), ['the base model, its weights']);
    writeFileSync(path, own);
  });

  it('other data and settings, all told at once', async () => {
    writeData('A plain red triangle.');
    const { recipe } = options('begun');
    const other = { ...recipe, learningRate: recipe.learningRate * 2, saveEvery: 2 };
    assert.deepEqual(await changes({ recipe: other }), [
      'recipe.learningRate',
      'the data file',
      'the tokenizer or its template',
    ]);
    writeData('A plain red square.');
  });

  it('a stop within an update leaves it undone; going on ends as the unbroken run does', async () => {
    const record = (JSON.parse(readFileSync(at('begun', 'data.json'), 'utf8')) as object[])[0];
    // 8 micro-batches an update, which begins when the one before is told of: the stop comes within it.
    const data = at('begun', 'long.json');
    writeFileSync(data, JSON.stringify(Array<unknown>(8).fill(record)));
    const recipe = { ...options('begun').recipe, batchSize: 1, accumulation: 8, saveEvery: 0 };
    const started = (name: string) =>
      train(options('begun', { recipe, data, output: at('begun', name) }));
    const run = started('stopped');
    for await (const event of run) if (event.type === 'step') setTimeout(() => run.stop(), 10);
    const { steps, isComplete, checkpoint } = await run;
    assert.deepEqual(
      { steps, isComplete, checkpoint },
      { steps: 1, isComplete: false, checkpoint: at('begun', 'stopped', 'checkpoint-1') },
    );
    assert.equal((await started('stopped')).steps, STEPS);
    assert.equal((await started('unbroken')).steps, STEPS);
    const weights = (name: string): Buffer =>
      readFileSync(at('begun', name, 'adapter_model.safetensors'));
    assert.deepEqual(weights('stopped'), weights('unbroken'));
  });

  it('a folder of an older version is refused with its reason', async () => {
    const path = at('begun', 'run', 'checkpoint-1', 'trainer_state.json');
    const own = readFileSync(path, 'utf8');
    const older = { ...(JSON.parse(own) as object), inputs: undefined, fingerprint: 'f' };
    writeFileSync(path, JSON.stringify(older));
    await assert.rejects(async () => train(options('begun')), {
      code: 'FACELLM_RUN_INVALID',
      message: /is of an older version/,
    });
    writeFileSync(path, own);
    assert.ok((await train(options('begun'))).isComplete);
  });
});
