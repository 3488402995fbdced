/**
 * Adapters trained upon weights in 8 and 4 bits: losses, gradients and what is learnt, bit for bit those of training upon what
 * the codes stand for, stored as plain weights.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { loadAddon } from '../../lib/binding/load.js';
import type { NativeTrainerRequest, NativeTrainSample } from '../../lib/binding/native.js';
import {
  exportModel,
  facellm1b,
  FaceLlm,
  mergeAdapter,
  type ModelWarning,
  quantizeModel,
  train,
} from '../../lib/index.js';
import {
  BASE,
  createTrainer,
  DATASET,
  goldenRun,
  goldenSamples,
  NO_ANSWERS,
} from '../support/training.js';

const FORMS = ['int8', 'int4', 'fp8'] as const;
const WAYS: Readonly<Record<string, Partial<NativeTrainerRequest>>> = {
  LoRA: {},
  'LoRA, recomputed, in chunks, shared': {
    ...{ checkpointsActivations: true, lossChunkRows: 7, sharesPrefix: true },
  },
  'DoRA, recomputed': { usesDora: true, checkpointsActivations: true },
  'LoRA with dropout': { dropout: 0.3 },
};

describe('training upon weights in 8 and 4 bits', function () {
  this.timeout(300_000);
  let root: string;
  let samples: NativeTrainSample[];
  before(async () => {
    root = mkdtempSync(join(tmpdir(), 'facellm-base-'));
    // Tiny products: a second thread costs more than it does.
    await loadAddon().setThreads(1).promise;
    samples = await goldenSamples(goldenRun('train-lora'));
    for (const weights of FORMS) {
      const output = join(root, weights);
      await quantizeModel({ model: BASE, output, weights });
      for (const dtype of ['fp32', 'bf16'] as const) {
        await exportModel({ model: output, output: join(root, `${weights}-${dtype}`), dtype });
      }
    }
  });
  after(() => rmSync(root, { recursive: true, force: true }));

  type From = Parameters<typeof createTrainer>[3];

  /** Losses and gradients of three updates, and a loss after them. */
  async function run(
    from: From,
    dtype: 'fp32' | 'bf16',
    overrides: Partial<NativeTrainerRequest>,
  ): Promise<{ readonly told: unknown; readonly bytes: number }> {
    const trainer = await createTrainer(overrides, dtype, undefined, from);
    try {
      const denominator = 70;
      const batch = { samples, denominator, ...NO_ANSWERS, isLast: true };
      const told: unknown[] = [];
      for (let draw = 0; draw < 3; draw++) {
        const { loss } = await trainer.accumulate({ ...batch, draw }).promise;
        told.push(loss, await trainer.gradientNorms().promise);
        const { gradNorm } = await trainer.update({ learningRate: 1e-3, maxGradNorm: 1 }).promise;
        assert.ok(gradNorm > 0);
      }
      const { loss, sampleLosses } = await trainer.evaluate({ ...batch, draw: 0 }).promise;
      told.push(loss, sampleLosses);
      return { told, bytes: trainer.info().model.parameterBytes };
    } finally {
      await trainer.dispose().promise;
    }
  }

  for (const form of FORMS) {
    for (const dtype of ['fp32', 'bf16'] as const) {
      for (const [way, overrides] of Object.entries(WAYS)) {
        it(`${form} in ${dtype}: ${way}`, async () => {
          const kept = await run({ model: join(root, form), base: form }, dtype, overrides);
          const plain = await run({ model: join(root, `${form}-${dtype}`) }, dtype, overrides);
          assert.deepEqual(kept.told, plain.told);
          assert.ok(kept.bytes < plain.bytes, `${kept.bytes} of ${plain.bytes}`);
        });
      }
    }
  }

  it('forms that are made of plain weights are theirs, and learn', async () => {
    for (const base of ['int8', 'int4', 'fp8', 'nf4', 'nf4-double'] as const) {
      const { told } = await run({ base }, 'fp32', { checkpointsActivations: true });
      const losses = (told as unknown[]).filter((value) => typeof value === 'number');
      const [first = NaN, last = NaN] = [losses[0], losses.at(-1)];
      assert.ok(last < first, `${base}: ${losses.join(' ')}`);
    }
  });

  it('what cannot be trained so is refused by name', async () => {
    const refuse = (overrides: Partial<NativeTrainerRequest>, pattern: RegExp) =>
      assert.rejects(createTrainer(overrides, 'fp32', undefined, { base: 'nf4' }), pattern);
    await refuse({ modules: [], parts: ['text'] }, /no gradient/);
    assert.throws(
      () => train({ recipe: { ...facellm1b(), base: 'nf4', lora: null, parts: ['text'] }, model: BASE, data: DATASET, output: join(root, 'x') }),
      /recipe/,
    );
  });

  it('a run records what its adapter stands on, and an adapter is told from one of another base', async () => {
    const output = join(root, 'run');
    const recipe = { ...facellm1b(), dtype: 'fp32', base: 'nf4', batchSize: 2, accumulation: 1, maxSteps: 2 } as const;
    const result = await train({ recipe, model: BASE, data: DATASET, output });
    assert.equal(result.steps, 2);
    const recorded = JSON.parse(readFileSync(join(output, 'facellm_training.json'), 'utf8')) as {
      base: { weightsHash: string; form: string };
    };
    assert.equal(recorded.base.form, 'nf4');
    const warnings = async (model: string, weights: 'stored' | 'nf4' | 'int8'): Promise<ModelWarning[]> => {
      const told: ModelWarning[] = [];
      await using loaded = await FaceLlm.load(model, {
        ...{ adapter: output, device: 'cpu', dtype: 'fp32', weights },
        onWarning: (warning) => told.push(warning),
      });
      assert.equal(loaded.info.weights.text, weights);
      return told.filter(({ code }) => code === 'BASE_DIFFERS');
    };
    assert.deepEqual(await warnings(BASE, 'nf4'), []);
    const [form, ...others] = await warnings(BASE, 'int8');
    assert.deepEqual(others, []);
    assert.deepEqual(form?.differences, ['form of the base: trained upon nf4, this model keeps int8']);
    assert.match(form?.remedy ?? '', /weights: nf4/);
    const [both] = await warnings(join(root, 'int8-fp32'), 'stored');
    assert.equal(both?.differences.length, 2);
  });

  it('merging into another base and going on upon one is told, and AWQ is refused', async () => {
    const recipe = { ...facellm1b(), dtype: 'fp32', base: 'int8', batchSize: 2, accumulation: 1, maxSteps: 1 } as const;
    // Upon the files' own codes, kept.
    const [files, adapter] = [join(root, 'int8'), join(root, 'smile')];
    await train({ recipe, model: files, data: DATASET, output: adapter });
    const path = join(adapter, 'facellm_training.json');
    const record = JSON.parse(readFileSync(path, 'utf8')) as {
      base: { form: string; quantisation: { method: string; format: string; bits: number } };
    };
    const { method, format, bits } = record.base.quantisation;
    assert.deepEqual([method, format, bits], ['compressed-tensors', 'int-quantized', 8]);

    let count = 0;
    const merged = async (model: string): Promise<string[][]> => {
      const told: ModelWarning[] = [];
      await mergeAdapter({
        ...{ model, adapters: [adapter], output: join(root, `merged-${count++}`), ontoQuantised: true },
        onWarning: (warning) => told.push(warning),
      });
      return told.map(({ code, differences }) => [code, ...differences]);
    };
    assert.deepEqual(await merged(files), []);
    const [told, ...more] = await merged(BASE);
    assert.deepEqual([told?.[0], told?.length, more.length], ['BASE_DIFFERS', 3, 0]);

    const goesOn = async (model: string, base: 'stored' | 'int8' | 'int4'): Promise<number[]> => {
      const own = { recipe: { ...recipe, base }, model, data: DATASET, adapter };
      const told: number[] = [];
      const run = train({ ...own, output: join(root, `on-${count++}`) });
      for await (const event of run) {
        if (event.type === 'warning') told.push(event.warning.differences.length);
      }
      assert.equal((await run).steps, 1);
      return told;
    };
    assert.deepEqual(await goesOn(files, 'int8'), []);
    assert.deepEqual(await goesOn(files, 'stored'), []);
    assert.deepEqual(await goesOn(files, 'int4'), [1]);
    assert.deepEqual(await goesOn(BASE, 'stored'), [2]);

    const awq = { method: 'awq', format: 'awq', bits: 4, group: 128, isSymmetric: false };
    const base = { ...record.base, form: 'stored', quantisation: awq };
    writeFileSync(path, JSON.stringify({ ...record, base }));
    const refused = { code: 'FACELLM_ADAPTER_INVALID', message: /AWQ/ };
    await assert.rejects(merged(BASE), refused);
    await assert.rejects(goesOn(BASE, 'stored'), refused);
    await assert.rejects(FaceLlm.load(BASE, { adapter, device: 'cpu' }), refused);
  });
});
