/** What must change nothing of a training step beyond rounding, and what must not be touched by it. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type {
  NativeMicroBatch,
  NativeTrainer,
  NativeTrainerRequest,
  NativeTrainSample,
} from '../../lib/binding/native.js';
import { readSafetensors } from '../support/safetensors.js';
import {
  createTrainer,
  NO_ANSWERS,
  goldenRun,
  goldenSamples,
  loraModules,
} from '../support/training.js';

/** fp32 sums in another order: some roundings of 6e-8 each, never 1e-5 of the whole. */
const TOLERANCE = 1e-5;

interface Step {
  readonly loss: number;
  readonly norms: ReadonlyMap<string, number>;
}

describe('training properties', () => {
  let samples: readonly NativeTrainSample[];
  let learnt = 0;
  before(async () => {
    samples = await goldenSamples(goldenRun('train-lora'));
    const labels = samples.flatMap((sample) => [...sample.labels]);
    learnt = labels.filter((label) => label !== -100).length;
  });

  async function using<T>(
    overrides: Partial<NativeTrainerRequest>,
    work: (trainer: NativeTrainer) => Promise<T>,
    dtype: 'fp32' | 'bf16' = 'fp32',
  ): Promise<T> {
    const trainer = await createTrainer(overrides, dtype);
    try {
      return await work(trainer);
    } finally {
      await trainer.dispose().promise;
    }
  }

  function batchOf(own: readonly NativeTrainSample[], draw = 7): NativeMicroBatch {
    return { samples: own, denominator: learnt, draw, isLast: true, ...NO_ANSWERS };
  }

  /** Gradients of the samples, a micro-batch each entry. */
  async function step(
    trainer: NativeTrainer,
    batches: readonly (readonly NativeTrainSample[])[],
  ): Promise<Step> {
    let loss = 0;
    for (const batch of batches) loss += (await trainer.accumulate(batchOf(batch)).promise).loss;
    return { loss, norms: new Map(await trainer.gradientNorms().promise) };
  }

  /** All A matrices of the adapter, one behind another, as they are saved. */
  async function matricesA(trainer: NativeTrainer): Promise<number[]> {
    const folder = mkdtempSync(join(tmpdir(), 'facellm-adapter-'));
    try {
      const file = join(folder, 'adapter_model.safetensors');
      await trainer.saveAdapter(file).promise;
      return [...readSafetensors(file)]
        .filter(([name]) => name.endsWith('lora_A.weight'))
        .flatMap(([, { data }]) => Array.from(data as Float32Array));
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  /** Small norms are compared with the largest: they are sums that nearly cancel. */
  function near(actual: Step, expected: Step, tolerance = TOLERANCE): void {
    assert.ok(Math.abs(actual.loss - expected.loss) <= tolerance * Math.abs(expected.loss));
    assert.deepEqual([...actual.norms.keys()], [...expected.norms.keys()]);
    const largest = Math.max(...expected.norms.values());
    for (const [name, norm] of expected.norms) {
      const error = Math.abs((actual.norms.get(name) ?? NaN) - norm);
      assert.ok(error <= tolerance * Math.max(norm, 1e-2 * largest), `${name}: off by ${error}`);
    }
  }

  type Settings = Partial<Omit<NativeTrainerRequest, 'modules'>> & { readonly targets?: string };
  const settings: readonly (readonly [string, Settings])[] = [
    ['LoRA', {}],
    ['LoRA with dropout', { dropout: 0.3 }],
    ['DoRA', { usesDora: true }],
    ['LoRA of vision, projector and text', { targets: '.*' }],
    ['full fine-tuning', { targets: '', parts: ['vision', 'projector', 'text', 'head'] }],
  ];

  async function requestOf({ targets = 'all', ...rest }: Settings) {
    return { ...rest, modules: targets === '' ? [] : await loraModules(targets) };
  }

  for (const [name, overrides] of settings) {
    it(`${name}: recomputed activations and chunks of the loss change nothing`, async () => {
      const own = await requestOf(overrides);
      const plain = await using(own, (trainer) => step(trainer, [samples]));
      const saving = { ...own, checkpointsActivations: true, lossChunkRows: 5 };
      near(await using(saving, (trainer) => step(trainer, [samples])), plain);
    });

    // Masks are drawn for a micro-batch as a whole: with dropout packing changes which elements fall.
    if (name.includes('dropout')) continue;
    it(`${name}: packed samples do not see each other`, async () => {
      await using(await requestOf(overrides), async (trainer) => {
        const packed = await step(trainer, [samples]);
        await trainer.update({ learningRate: 0, maxGradNorm: 0 }).promise;
        near(
          await step(
            trainer,
            samples.map((sample) => [sample]),
          ),
          packed,
        );
        await trainer.update({ learningRate: 0, maxGradNorm: 0 }).promise;
        near(await step(trainer, [[...samples].reverse()]), packed);
      });
    });
  }

  it('a fresh adapter changes nothing: LoRA, DoRA', async () => {
    const base = await using(
      { modules: [], parts: ['head'] },
      (trainer) => trainer.evaluate(batchOf(samples)).promise,
    );
    for (const usesDora of [false, true]) {
      const { loss } = await using(
        { usesDora },
        (trainer) => trainer.evaluate(batchOf(samples)).promise,
      );
      assert.ok(Math.abs(loss - base.loss) <= TOLERANCE * base.loss);
    }
  });

  it('frozen parts get no gradient', async () => {
    for (const part of ['vision', 'projector', 'text', 'head'] as const) {
      const prefixes = {
        vision: /^vision_tower\./,
        projector: /^multi_modal_projector\./,
        text: /^language_model\.model\./,
        head: /^language_model\.lm_head\./,
      };
      await using({ modules: [], parts: [part] }, async (trainer) => {
        const { norms } = await step(trainer, [samples]);
        assert.ok(norms.size > 0);
        for (const name of norms.keys()) assert.match(name, prefixes[part]);
      });
    }
  });

  it('dropout: masks follow from seed and draw, and there are none in evaluate()', async () => {
    await using({ dropout: 0.3 }, async (trainer) => {
      // B is zero at first: without a step dropout of its input has no effect.
      await step(trainer, [samples]);
      await trainer.update({ learningRate: 1e-2, maxGradNorm: 0 }).promise;
      const loss = async (draw: number): Promise<number> =>
        (await trainer.accumulate(batchOf(samples, draw)).promise).loss;
      const first = await loss(1);
      assert.equal(await loss(1), first);
      assert.notEqual(await loss(2), first);
      const { loss: without } = await trainer.evaluate(batchOf(samples)).promise;
      assert.notEqual(without, first);
      assert.equal((await trainer.evaluate(batchOf(samples, 2)).promise).loss, without);
    });
  });

  it('bf16: the loss of fp32 within bf16 roundings, the adapter in fp32', async () => {
    const wide = await using({}, (trainer) => step(trainer, [samples]));
    await using(
      {},
      async (trainer) => {
        const narrow = await step(trainer, [samples]);
        assert.ok(Math.abs(narrow.loss - wide.loss) <= 2e-2 * wide.loss);
        // Steps of 1e-5 are a fiftieth of a bf16 step of the larger weights: kept in bf16 they would be lost.
        const before = await matricesA(trainer);
        for (let k = 0; k < 3; k++) {
          if (k > 0) await step(trainer, [samples]);
          await trainer.update({ learningRate: 1e-5, maxGradNorm: 0 }).promise;
        }
        const after = await matricesA(trainer);
        const moved = before.flatMap((value, i) =>
          Math.abs(value) > 2 ** -4 ? [Math.abs((after[i] ?? NaN) - value)] : [],
        );
        assert.ok(moved.length > 100);
        assert.ok(moved.filter((by) => by > 0).length > 0.9 * moved.length);
        // Two updates, since B is zero before the first, of at most the learning rate each.
        assert.ok(Math.max(...moved) <= 2.1e-5, String(Math.max(...moved)));
      },
      'bf16',
    );
  });

  it('saved and restored: the same next steps, bit for bit', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'facellm-state-'));
    const file = join(folder, 'optimizer.safetensors');
    const full = { modules: [], parts: ['projector', 'text', 'head'] as const };
    const advance = async (trainer: NativeTrainer): Promise<number[]> => {
      const losses: number[] = [];
      for (let k = 0; k < 3; k++) {
        losses.push((await step(trainer, [samples])).loss);
        await trainer.update({ learningRate: 1e-3, maxGradNorm: 1 }).promise;
      }
      return losses;
    };
    try {
      for (const overrides of [{}, { usesDora: true }, full]) {
        for (const dtype of ['fp32', 'bf16'] as const) {
          const expected = await using(
            overrides,
            async (trainer) => {
              await advance(trainer);
              await trainer.saveState(file).promise;
              return advance(trainer);
            },
            dtype,
          );
          const restored = await using(
            overrides,
            async (trainer) => {
              await trainer.restoreState(file, 3).promise;
              return advance(trainer);
            },
            dtype,
          );
          assert.deepEqual(restored, expected);
        }
      }
      await using({ usesDora: true }, (trainer) =>
        assert.rejects(trainer.restoreState(file, 3).promise, {
          code: 'FACELLM_CHECKPOINT_INVALID',
        }),
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('a sample of weight 2 counts like two of them', async () => {
    const [first, ...others] = samples as [NativeTrainSample, ...NativeTrainSample[]];
    await using({ lossChunkRows: 5 }, async (trainer) => {
      const twice = await step(trainer, [[first, first, ...others]]);
      await trainer.update({ learningRate: 0, maxGradNorm: 0 }).promise;
      near(await step(trainer, [[{ ...first, weight: 2 }, ...others]]), twice);
    });
  });

  it('a malformed micro-batch is refused whole, and the trainer goes on', async () => {
    await using({}, async (trainer) => {
      const [first] = samples as [NativeTrainSample];
      const wrong = [
        [{ ...first, labels: first.labels.slice(1) }, 'FACELLM_INVALID_ARGUMENT'],
        [{ ...first, ids: first.ids.map(() => 1e9) }, 'FACELLM_INVALID_ARGUMENT'],
        [{ ...first, weight: 0 }, 'FACELLM_INVALID_ARGUMENT'],
        [{ ...first, images: [] }, 'FACELLM_IMAGE_TOKEN_MISMATCH'],
      ] as const;
      for (const [sample, code] of wrong) {
        await assert.rejects(trainer.accumulate(batchOf([sample])).promise, { code });
      }
      const before = await step(trainer, [samples]);
      assert.ok(Number.isFinite(before.loss));
    });
  });
});
