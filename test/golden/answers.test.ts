/** Expected rewards and preferences against transformers, PEFT and autograd (scripts/export-answers-fixture.py). */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { NativeAnswerSet, NativeTrainer, NativeTrainSample } from '../../lib/binding/native.js';
import { GOLDEN } from '../support/golden.js';
import { readSafetensors } from '../support/safetensors.js';
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
}

/** fp32 sums in another order: some roundings of 6e-8 each, never 1e-5 of the whole (training.test.ts). */
const TOLERANCE = 1e-5;
const ADAPTERS = join(GOLDEN, 'train-lora');

const norm = (values: readonly number[]): number => Math.hypot(...values);

function tensorsOf(path: string, suffix = ''): Map<string, number[]> {
  const stored = [...readSafetensors(path)].filter(([name]) => name.endsWith(suffix));
  return new Map(
    stored.map(([name, { data }]) => [
      name.slice(0, name.length - suffix.length),
      Array.from(data as Float32Array),
    ]),
  );
}

/** Element by element, of a trainer with beta1 = 0; an update at a learning rate of 0 changes nothing. */
async function gradientsOf(trainer: NativeTrainer): Promise<Map<string, number[]>> {
  const folder = mkdtempSync(join(tmpdir(), 'facellm-answers-'));
  try {
    await trainer.update({ learningRate: 0, maxGradNorm: 0 }).promise;
    const file = join(folder, 'optimizer.safetensors');
    await trainer.saveState(file).promise;
    return tensorsOf(file, '.exp_avg');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('golden answers: expected reward and preference', () => {
  const fixture = JSON.parse(
    readFileSync(join(GOLDEN, '..', 'answers.json'), 'utf8'),
  ) as Fixture;
  const expected = tensorsOf(join(GOLDEN, '..', 'answers.safetensors'));
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
      // Without momentum AdamW's first average is the gradient itself.
      const trainer = await createTrainer({ ...overrides, adapterFile, beta1: 0 });
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
        const gradients = await gradientsOf(trainer);
        assert.deepEqual([...gradients.keys()].sort(), [...expected.keys()].sort());
        const largest = Math.max(...[...expected.values()].map(norm));
        for (const [key, theirs] of expected) {
          const own = gradients.get(key) ?? [];
          const off = norm(theirs.map((value, i) => value - (own[i] ?? NaN)));
          // A probability is off by what its answers' log-probabilities are: 55 nats of 1e-5 at most.
          const allowed = 55 * TOLERANCE * Math.max(norm(theirs), 1e-2 * largest);
          assert.ok(off <= allowed, `gradient of ${key}: off by ${off} of ${norm(theirs)}`);
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
