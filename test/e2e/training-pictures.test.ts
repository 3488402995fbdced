/** Pictures that are none: found by their headers before the first update, or set aside while the run goes on. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import sharp from 'sharp';

import {
  type FaceLlmError,
  train,
  type TrainingEvent,
  type TrainOptions,
} from '../../lib/index.js';
import { listCheckpoints } from '../../lib/training/checkpoint-folder.js';
import { HAS_GLOO } from '../support/gloo.js';
import { NEEDS_GLOO, skip } from '../support/skip.js';
import { GOLDEN, TEST_DEVICE } from '../support/golden.js';
import { BASE, goldenRecipe, goldenRun } from '../support/training.js';

const MAIN = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'main.js');
const STEPS = 6;
/** Of the records below. */
const CUT = 3;

describe(`end to end: pictures that cannot be decoded`, function () {
  this.timeout(180_000);
  let folder: string;
  const at = (...names: string[]): string => join(folder, ...names);

  function write(name: string, pictures: readonly string[]): string {
    const records = pictures.map((picture, i) => ({
      conversations: [
        { from: 'human', value: '<image>What is it?' },
        { from: 'gpt', value: `A pattern of kind ${i}.` },
      ],
      images: [picture],
    }));
    writeFileSync(at(name), JSON.stringify(records));
    return at(name);
  }

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-pictures-'));
    for (const [name, source] of ['0_0', '1_0', '3_0'].entries()) {
      cpSync(join(GOLDEN, 'train-images', `${source}.png`), at(`${name}.png`));
    }
    const noise = { type: 'gaussian' as const, mean: 128, sigma: 30 };
    const create = { width: 64, height: 64, channels: 3 as const, background: '#888', noise };
    const whole = await sharp({ create }).jpeg().toBuffer();
    writeFileSync(at('cut.jpg'), whole.subarray(0, whole.length * 0.6));
    writeFileSync(at('empty.jpg'), '');
    writeFileSync(at('page.jpg'), '<!DOCTYPE html><html><body>Sign in</body></html>');
    writeFileSync(
      at('pointer.jpg'),
      `version https://git-lfs.github.com/spec/v1\noid sha256:${'0'.repeat(64)}\nsize 1880000\n`,
    );
    writeFileSync(at('text.jpg'), 'no picture');
    write('cut.json', ['0.png', '1.png', '2.png', 'cut.jpg', '0.png']);
  });
  after(() => rmSync(folder, { recursive: true }));

  function options(output: string, more: Partial<TrainOptions> = {}): TrainOptions {
    const recipe = {
      ...goldenRecipe(goldenRun('train-lora')),
      ...{ maxSteps: STEPS, batchSize: 2, accumulation: 1, saveEvery: 1, keepCheckpoints: 0 },
    };
    return {
      recipe,
      model: BASE,
      data: at('cut.json'),
      output: at(output),
      device: TEST_DEVICE,
      ...more,
    };
  }

  function skippedOf(output: string): unknown[] {
    const text = readFileSync(at(output, 'skipped_records.jsonl'), 'utf8').trim();
    return text.split('\n').map((line) => JSON.parse(line) as unknown);
  }

  const adapterOf = (output: string): Buffer =>
    readFileSync(at(output, 'adapter_model.safetensors'));

  it('headers: every one is named before weights are read, or set aside', async () => {
    const pictures = ['0.png', 'empty.jpg', 'page.jpg', 'pointer.jpg', 'text.jpg', '1.png'];
    const data = write('headers.json', pictures);
    const events: TrainingEvent[] = [];
    const refused = train(options('headers', { data }));
    const collect = async (): Promise<void> => {
      for await (const event of refused) events.push(event);
    };
    await assert.rejects(collect, (error: FaceLlmError) => {
      assert.equal(error.code, 'FACELLM_DATA_INVALID');
      const expected = [
        /is empty/,
        /web page/,
        /Git LFS pointer.*git lfs pull/,
        /cannot be decoded/,
      ];
      assert.equal(error.details.length, expected.length);
      expected.forEach((text, i) => {
        assert.match(error.details[i] ?? '', new RegExp(`^record ${i + 1}: image .*jpg `));
        assert.match(error.details[i] ?? '', text);
      });
      return true;
    });
    assert.deepEqual(events, []);
    const result = await train(options('headers', { data, onInvalid: 'skip' }));
    assert.ok(result.isComplete);
    assert.deepEqual(
      skippedOf('headers').map((line) => (line as { index: number }).index),
      [1, 2, 3, 4],
    );
  });

  it('pixels: without skipping, the error names the record and the file', async () => {
    await assert.rejects(async () => train(options('named')), {
      code: 'FACELLM_IMAGE_INVALID',
      message: /^record 3: .*cut\.jpg cannot be decoded.*--skip-invalid/,
    });
  });

  it('pixels: with skipping the record is set aside and the run goes on; resumed, it is the unbroken one', async () => {
    const skipping = { onInvalid: 'skip' } as const;
    const run = train(options('unbroken', skipping));
    const skips: TrainingEvent[] = [];
    for await (const event of run) if (event.type === 'skip') skips.push(event);
    assert.ok((await run).isComplete);
    assert.deepEqual(
      skips.map((event) => event.type === 'skip' && event.record),
      [CUT],
    );
    const [line, ...others] = skippedOf('unbroken') as { index: number; problems: string[] }[];
    assert.equal(line?.index, CUT);
    assert.match(line?.problems[0] ?? '', /cut\.jpg cannot be decoded.*its JPEG data end early$/);
    assert.deepEqual(others, []);

    // From every checkpoint: before the record came up, and after.
    const steps = await listCheckpoints(at('unbroken'));
    assert.deepEqual(steps, [1, 2, 3, 4, 5, 6]);
    for (const last of [1, 2, 4]) {
      const output = `resumed-${last}`;
      cpSync(at('unbroken'), at(output), { recursive: true });
      for (const step of steps) {
        if (step > last) rmSync(at(output, `checkpoint-${step}`), { recursive: true });
      }
      rmSync(at(output, 'adapter_model.safetensors'));
      await train(options(output, skipping));
      assert.ok(adapterOf(output).equals(adapterOf('unbroken')), `resumed after ${last}`);
      assert.deepEqual(skippedOf(output), skippedOf('unbroken'));
    }
  });

  it('an update that loses all its samples changes nothing; a run that loses all is refused', async () => {
    const { recipe } = options('');
    const single = { ...recipe, batchSize: 1 };
    const run = train(options('single', { recipe: single, onInvalid: 'skip' }));
    const losses: number[] = [];
    for await (const event of run) if (event.type === 'step') losses.push(event.loss);
    assert.equal(losses.length, STEPS);
    assert.ok(losses.every((loss) => loss > 0));
    const data = write('all-cut.json', ['cut.jpg', 'cut.jpg']);
    const lost = async (): Promise<unknown> => train(options('none', { data, onInvalid: 'skip' }));
    await assert.rejects(lost, (error: FaceLlmError) => {
      assert.equal(error.code, 'FACELLM_DATA_INVALID');
      assert.match(error.details.join('\n'), /^record 0: .*cut\.jpg.*\nrecord 1: .*cut\.jpg/);
      return true;
    });
  });

  it('every rank of a job leaves out the same, after a resume, too', function () {
    if (!HAS_GLOO) skip(this, NEEDS_GLOO);
    const command = (output: string, batchSize: number, more: readonly string[]): string[] => [
      ...[MAIN, 'train', '--recipe', 'nano', '--model', BASE, '--data', at('cut.json')],
      ...[
        // Gloo's processes compute on the CPU.
        ...['--output', at(output), '--device', 'cpu', '--threads', '1', '--skip-invalid'],
        ...more,
      ],
      ...['--set', `batchSize=${batchSize}`, `maxSteps=${STEPS}`, 'saveEvery=1'],
      ...['keepCheckpoints=0', 'logEvery=1', 'learningRate=1e-4'],
    ];
    const start = (args: readonly string[]): void => {
      const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
      assert.equal(status, 0, stderr);
    };
    const losses = (output: string): number[] =>
      readFileSync(at(output, 'trainer_log.jsonl'), 'utf8')
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { loss: number }).loss);
    start(command('one', 2, []));
    start(command('two', 1, ['--processes', '2']));
    const expected = losses('one');
    assert.equal(expected.length, STEPS);
    losses('two').forEach((loss, i) => {
      // Six digits in the log; AdamW turns rounding of near-zero gradients into steps of either sign.
      const ratio = loss / (expected[i] ?? NaN);
      assert.ok(Math.abs(ratio - 1) < 1e-4, `step ${i}: ${loss}, ${expected[i]}`);
    });
    assert.deepEqual(skippedOf('two'), skippedOf('one'));
    const whole = losses('two');
    for (const step of [4, 5, 6]) rmSync(at('two', `checkpoint-${step}`), { recursive: true });
    start(command('two', 1, ['--processes', '2']));
    assert.deepEqual(losses('two'), whole);
    assert.deepEqual(skippedOf('two'), skippedOf('one'));
  });
});
