/** Runs with shared prefixes, expected rewards, preferences and rates per part: as without, better, resumed bit for bit. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import sharp from 'sharp';

import {
  createModel,
  nano,
  nanoShape,
  train,
  type TrainingEvent,
  type TrainingRecipe,
} from '../../lib/index.js';
import { TEST_DEVICE } from '../support/golden.js';
import { readSafetensors } from '../support/safetensors.js';

const PICTURES = 6;
const COLOURS = ['red', 'blue'];
const SIZES = ['small', 'middle', 'large'];
/** Of fp32 losses and gradient norms: some roundings of 6e-8 each (training-sharing.test.ts). */
const TOLERANCE = 1e-6;

type Step = Extract<TrainingEvent, { type: 'step' }>;

describe('end to end: answers, shared prefixes, rates', function () {
  this.timeout(300_000);
  let folder: string;
  const at = (...names: string[]): string => join(folder, ...names);

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-answers-'));
    const records = Array.from({ length: PICTURES }, (_, i) => {
      const colour = COLOURS[i % 2] ?? '';
      const size = SIZES[i % 3] ?? '';
      const ask = (question: string, answer: string, more: object = {}) => ({
        conversations: [
          { from: 'human', value: `<image>\n${question}` },
          { from: 'gpt', value: answer },
        ],
        ...{ images: [`${i}.png`], ...more },
      });
      // Twice, so that each answer is given four times in the mean.
      const closed = [ask('Which colour?', colour), ask('Which size?', size)];
      const rejected = `it is ${COLOURS[(i + 1) % 2]}`;
      return [...closed, ...closed, ask('Describe it.', `it is ${colour} ${i}`, { rejected })];
    }).flat();
    writeFileSync(at('data.json'), JSON.stringify(records));
    for (let i = 0; i < PICTURES; i++) {
      const background = i % 2 === 0 ? { r: 200, g: 20, b: i } : { r: 20, g: i, b: 200 };
      const create = { width: 32, height: 32, channels: 3 as const, background };
      await sharp({ create })
        .png()
        .toFile(at(`${i}.png`));
    }
    const shape = {
      ...nanoShape(),
      ...{ imageSize: 32, patchSize: 8, visionLayers: 2, textLayers: 2 },
    };
    const texts = [
      'user\nWhich colour? Which size? Describe it.',
      'assistant\nred blue small middle large it is 0 1 2',
    ];
    await createModel({ output: at('model'), texts, shape });
  });
  after(() => rmSync(folder, { recursive: true }));

  function recipeOf(changed: Partial<TrainingRecipe>): TrainingRecipe {
    return {
      ...nano(),
      ...{ learningRate: 3e-4, batchSize: 10, accumulation: 2, maxSteps: 8, warmupRatio: 0 },
      ...{ augmentation: null, balancesAnswers: false, saveEvery: 0, ...changed },
    };
  }

  async function run(name: string, changed: Partial<TrainingRecipe>, stopAfter = Infinity) {
    const started = train({
      recipe: recipeOf(changed),
      ...{ model: at('model'), data: at('data.json'), output: at(name), device: TEST_DEVICE },
      threads: 1,
    });
    const steps: Step[] = [];
    for await (const event of started) {
      if (event.type !== 'step') continue;
      steps.push(event);
      if (event.step === stopAfter) started.stop();
    }
    return { steps, result: await started };
  }

  const weights = (name: string): Buffer => readFileSync(at(name, 'model.safetensors'));

  it('shared prefixes: losses and gradient norms as unshared, fewer tokens computed, recomputed too', async () => {
    // The order of samples is that of the recipe with the setting; batches of whole pictures are the same without.
    const plain = await run('plain', { batchSize: 5 });
    for (const [name, changed] of [
      ['shared', {}],
      ['shared and recomputed', { checkpointsActivations: true, lossChunkRows: 4 }],
    ] as const) {
      const shared = await run(name, { batchSize: 5, sharesPrefix: true, ...changed });
      assert.equal(plain.result.computedShare, 1);
      assert.ok(shared.result.computedShare < 0.75, String(shared.result.computedShare));
      shared.steps.forEach((step, i) => {
        const expected = plain.steps[i];
        for (const key of ['loss', 'gradNorm'] as const) {
          const error = Math.abs(step[key] / (expected?.[key] ?? NaN) - 1);
          assert.ok(error <= TOLERANCE, `${name}: ${key} of step ${i}: off by ${error}`);
        }
      });
    }
  });

  const objectives: readonly (readonly [string, Partial<TrainingRecipe>])[] = [
    ['expected reward', { expectedReward: { kl: 0.05, supervised: 0.2, ordered: [SIZES] } }],
    ['preference', { preference: { beta: 0.1, supervised: 0.2 } }],
  ];
  for (const [name, objective] of objectives) {
    it(`${name}: the loss falls, shared as unshared; a resumed run ends bit for bit as the unbroken one`, async () => {
      const own = { ...objective, batchSize: 5, sharesPrefix: true };
      const unbroken = await run(`${name} unbroken`, own);
      const [first, last] = [unbroken.steps[0], unbroken.steps.at(-1)];
      assert.ok((last?.loss ?? NaN) < (first?.loss ?? NaN), `${first?.loss} to ${last?.loss}`);
      const unshared = await run(`${name} unshared`, { ...own, sharesPrefix: false });
      unshared.steps.forEach(({ loss }, i) => {
        const scale = Math.max(1, Math.abs(loss));
        const error = Math.abs((unbroken.steps[i]?.loss ?? NaN) - loss) / scale;
        assert.ok(error <= 2 * TOLERANCE, `step ${i}: off by ${error}`);
      });
      const stopped = await run(`${name} stopped`, own, 3);
      assert.equal(stopped.result.isComplete, false);
      await run(`${name} stopped`, own);
      assert.deepEqual(weights(`${name} stopped`), weights(`${name} unbroken`));
    });
  }

  it('a stop while the start model scores the answers ends the run as any before its first update; the same command begins anew', async () => {
    const own = { preference: { beta: 0.1, supervised: 0.2 }, batchSize: 1, maxSteps: 2 };
    const started = train({
      ...{ recipe: recipeOf(own), model: at('model'), data: at('data.json') },
      ...{ output: at('stopped early'), device: TEST_DEVICE, threads: 1 },
    });
    const scored: number[] = [];
    await assert.rejects(
      async () => {
        for await (const event of started) {
          if (event.type !== 'score') continue;
          assert.equal(event.recordsTotal, PICTURES);
          scored.push(event.recordsDone);
          started.stop();
        }
      },
      { code: 'FACELLM_CANCELLED', message: /before its first update/ },
    );
    assert.ok(scored.length > 0 && scored.length < PICTURES, String(scored));
    assert.equal((await run('stopped early', own)).result.isComplete, true);
  });

  it('rates per part: a part with hardly a rate hardly moves, a lower layer half as much; a resumed run has the same', async () => {
    const rates = {
      learningRates: { vision: 3e-9, projector: 3e-9 },
      layerDecay: 0.5,
      maxSteps: 4,
    };
    await run('rates', rates);
    const before = readSafetensors(at('model', 'model.safetensors'));
    const after = readSafetensors(at('rates', 'model.safetensors'));
    const moved = (prefix: string): number => {
      let most = 0;
      for (const [name, { data }] of after) {
        const old = before.get(name)?.data ?? [];
        if (!name.startsWith(prefix)) continue;
        data.forEach(
          (value, i) => (most = Math.max(most, Math.abs(Number(value) - Number(old[i])))),
        );
      }
      return most;
    };
    // AdamW moves an element by the rate at most, and by its decay; the rates of four updates add up to 2.5 times the first.
    assert.ok(moved('vision_tower.') <= 1e-7 && moved('multi_modal_projector.') <= 1e-7);
    const layers = [0, 1].map((layer) => moved(`language_model.model.layers.${layer}.mlp`));
    assert.ok((layers[1] ?? 0) > 3e-4, String(layers[1]));
    const ratio = (layers[0] ?? 0) / (layers[1] ?? 0);
    assert.ok(ratio > 0.4 && ratio < 0.6, String(ratio));
    await run('rates stopped', rates, 2);
    await run('rates stopped', rates);
    assert.deepEqual(weights('rates stopped'), weights('rates'));
  });

  it('what the data cannot give is refused before weights are read', async () => {
    const wrong = { expectedReward: { kl: 0, supervised: 0, ordered: [['x', 'y']] } };
    await assert.rejects(run('wrong', wrong), {
      code: 'FACELLM_INVALID_ARGUMENT',
      message: /does not fit its data/,
    });
  });
});
