/** Expected rewards and preferences against transformers, PEFT and autograd (scripts/export-answers-fixture.py). */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { NativeAnswerSet, NativeTrainSample } from '../../lib/binding/native.js';
import { GOLDEN } from '../support/golden.js';
import { createTrainer, goldenRun, goldenSamples, NO_ANSWERS } from '../support/training.js';

interface Fixture {
  readonly denominator: number;
  readonly answersDenominator: number;
  readonly samples: readonly {
    readonly record: number;
    readonly input_ids: readonly number[];
    readonly labels: readonly number[];
    readonly weight: number;
  }[];
  readonly sets: readonly (Pick<
    NativeAnswerSet,
    'first' | 'count' | 'objective' | 'weight' | 'strength'
  > & { readonly rewards: readonly number[]; readonly startLogProbs: readonly number[] })[];
  readonly logProbs: readonly number[];
  readonly startLogProbs: readonly number[];
  readonly loss: number;
  readonly gradL2: Readonly<Record<string, number>>;
}

/** fp32 sums in another order: some roundings of 6e-8 each, never 1e-5 of the whole (training.test.ts). */
const TOLERANCE = 1e-5;
const ADAPTERS = join(GOLDEN, 'train-lora');

describe('golden answers: expected reward and preference', () => {
  const fixture = JSON.parse(
    readFileSync(join(GOLDEN, '..', 'answers.json'), 'utf8'),
  ) as Fixture;
  const answerSets = fixture.sets.map((set) => ({
    ...set,
    rewards: Float64Array.from(set.rewards),
    startLogProbs: Float64Array.from(set.startLogProbs),
  }));
  let samples: NativeTrainSample[];
  before(async () => {
    const pictures = await goldenSamples(goldenRun('train-lora'));
    samples = fixture.samples.map(({ record, input_ids, labels, weight }) => ({
      ids: Int32Array.from(input_ids),
      labels: Int32Array.from(labels),
      ...{ weight, images: pictures[record]?.images ?? [] },
    }));
  });

  const near = (actual: number, expected: number, of: number, what: string): void =>
    assert.ok(
      Math.abs(actual - expected) <= TOLERANCE * of,
      `${what}: ${actual}, expected ${expected}`,
    );

  for (const [name, overrides] of [
    ['plain', {}],
    ['prefixes shared', { sharesPrefix: true }],
    ['prefixes shared, recomputed, loss in chunks', { sharesPrefix: true, checkpointsActivations: true, lossChunkRows: 5 }],
  ] as const) {
    it(`${name}: the oracle's log-probabilities, loss and gradients`, async () => {
      const adapterFile = join(ADAPTERS, 'adapter_final', 'adapter_model.safetensors');
      const trainer = await createTrainer({ ...overrides, adapterFile });
      try {
        const scored = samples.map((sample) => ({ ...sample, weight: 1 }));
        const asked = { samples: scored, denominator: 1, draw: 0, isLast: true, ...NO_ANSWERS };
        const { sampleLosses } = await trainer.evaluate(asked).promise;
        sampleLosses.forEach((loss, i) =>
          near(-loss, fixture.logProbs[i] ?? NaN, loss, `log-probability of answer ${i}`),
        );
        const { denominator, answersDenominator } = fixture;
        const batch = { samples, answerSets, denominator, answersDenominator, draw: 0, isLast: true };
        const { loss } = await trainer.accumulate(batch).promise;
        near(loss, fixture.loss, fixture.loss, 'loss');
        const norms = new Map(await trainer.gradientNorms().promise);
        const largest = Math.max(...Object.values(fixture.gradL2));
        for (const [key, norm] of Object.entries(fixture.gradL2)) {
          const own = norms.get(key.replace('.default.', '.')) ?? NaN;
          // A probability is off by what its answers' log-probabilities are: 55 nats of 1e-5 at most.
          near(own, norm, 55 * Math.max(norm, 1e-2 * largest), `gradient of ${key}`);
        }
      } finally {
        await trainer.dispose().promise;
      }
    });
  }

  it('the start model is the base', async () => {
    const adapterFile = join(ADAPTERS, 'adapter_init', 'adapter_model.safetensors');
    const trainer = await createTrainer({ adapterFile });
    const scored = samples.map((sample) => ({ ...sample, weight: 1 }));
    const asked = { samples: scored, denominator: 1, draw: 0, isLast: true, ...NO_ANSWERS };
    const { sampleLosses } = await trainer.evaluate(asked).promise;
    sampleLosses.forEach((loss, i) =>
      near(-loss, fixture.startLogProbs[i] ?? NaN, loss, `log-probability of answer ${i}`),
    );
    await trainer.dispose().promise;
  });
});
