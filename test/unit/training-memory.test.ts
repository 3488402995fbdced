/** What `plan --recipe` says of a run: formulas by hand, sums of 8B and 38B as they were, and what runs of a 1B took. */
import assert from 'node:assert/strict';

import type { NativeModelConfig } from '../../lib/binding/native.js';
import { facellm1b, facellm38b, facellm8b, nano, type TrainingRecipe } from '../../lib/index.js';
import { planTraining } from '../../lib/training/index.js';

const vision = {
  ...{ hiddenSize: 1024, intermediateSize: 4096, numHiddenLayers: 24, numAttentionHeads: 16 },
  ...{ imageSize: 448, patchSize: 14 },
};
const text = {
  ...{ hiddenSize: 3584, intermediateSize: 18_944, numHiddenLayers: 28, headDim: 128 },
  ...{ numAttentionHeads: 28, numKeyValueHeads: 4, vocabSize: 151_674 },
};
const large = (change: object, tower: object): NativeModelConfig =>
  ({
    ...{ vision: { ...vision, ...tower }, text: { ...text, ...change } },
    ...{ downsampleRatio: 0.5, imageSeqLength: 256, tiesEmbeddings: false },
  }) as unknown as NativeModelConfig;
const B1 = large(
  {
    ...{ hiddenSize: 896, intermediateSize: 4864, numHiddenLayers: 24, headDim: 64 },
    ...{ numAttentionHeads: 14, numKeyValueHeads: 2 },
  },
  {},
);
const B8 = large({}, {});
const B38 = large(
  {
    ...{ hiddenSize: 5120, intermediateSize: 27_648, numHiddenLayers: 64 },
    ...{ numAttentionHeads: 40, numKeyValueHeads: 8 },
  },
  { hiddenSize: 3200, intermediateSize: 12_800, numHiddenLayers: 45, numAttentionHeads: 25 },
);

describe('planTraining()', () => {
  const of = (config: NativeModelConfig, recipe: TrainingRecipe, change: Partial<TrainingRecipe>) =>
    planTraining(config, { ...recipe, shardsWeights: false, ...change });

  /** GB, to a tenth. */
  const told = (plan: ReturnType<typeof planTraining>): readonly number[] =>
    [
      plan.textWeightBytes,
      plan.otherWeightBytes,
      plan.trainedBytes + plan.gradientBytes,
      plan.activationBytes + plan.scratchBytes,
      plan.layerBytes,
      plan.lossBytes,
      plan.totalBytes,
    ].map((bytes) => Math.round(bytes / 1e8) / 10);

  it('8B on bf16, int8, nf4', () => {
    assert.deepEqual(told(of(B8, facellm8b(), {})), [13.1, 2.8, 0.6, 0.9, 1.3, 0.2, 19.7]);
    assert.deepEqual(
      told(of(B8, facellm8b(), { base: 'int8' })),
      [6.5, 2.8, 0.6, 1.2, 1.3, 0.2, 13.4],
    );
    assert.deepEqual(
      told(of(B8, facellm8b(), { base: 'nf4' })),
      [3.7, 2.8, 0.6, 1.2, 1.3, 0.2, 10.6],
    );
  });

  it('38B with 12 samples on nf4 and int8', () => {
    const own = { batchSize: 12 };
    assert.deepEqual(
      told(of(B38, facellm38b(), { ...own, base: 'nf4' })),
      [17.6, 14.4, 2.1, 4.1, 2.2, 0.2, 42.2],
    );
    assert.deepEqual(
      told(of(B38, facellm38b(), { ...own, base: 'int8' })),
      [31.2, 14.4, 2.1, 4.1, 2.2, 0.2, 55.9],
    );
  });

  /** Anonymous memory of `facellm train`, at its peak, in MB: docs/quantisation.md, "Training". */
  const measured = [
    ['stored', 2, 631, 189, 2488],
    ['int8', 2, 631, 189, 2157],
    ['int4', 2, 631, 189, 1997],
    ['fp8', 2, 631, 189, 2164],
    ['nf4', 2, 631, 189, 2002],
    ['nf4-double', 2, 631, 189, 2011],
    ['nf4', 8, 631, 189, 2536],
    ['stored', 2, 459, 17, 2402],
    ['int8', 2, 459, 17, 2075],
  ] as const;

  for (const [base, batchSize, sampleTokens, answerTokens, megabytes] of measured) {
    it(`1B on ${base}, ${batchSize} samples of ${sampleTokens} tokens: within 5 % of what was measured`, () => {
      const recipe = { ...facellm1b(), base, batchSize, accumulation: 1 };
      const { totalBytes, processBytes } = planTraining(B1, recipe, { sampleTokens, answerTokens });
      const ratio = (totalBytes + processBytes) / (megabytes * 1e6);
      assert.ok(Math.abs(ratio - 1) < 0.05, ratio.toFixed(3));
    });
  }

  // glibc told to give back all that is freed: nothing that was fitted is in this but the process's own.
  for (const [base, batchSize, sampleTokens, answerTokens, megabytes] of [
    ['stored', 2, 631, 189, 2375],
    ['nf4', 8, 459, 17, 2084],
  ] as const) {
    it(`1B on ${base}, ${batchSize} samples of ${sampleTokens} tokens, nothing kept by the allocator: within 3 %`, () => {
      const recipe = { ...facellm1b(), base, batchSize, accumulation: 1 };
      const plan = planTraining(B1, recipe, { sampleTokens, answerTokens });
      const ratio = (plan.totalBytes - plan.allocatorBytes + plan.processBytes) / (megabytes * 1e6);
      assert.ok(Math.abs(ratio - 1) < 0.03, ratio.toFixed(3));
    });
  }

  it('tokens without an answer have no logits; gradients of earlier micro-batches stay', () => {
    const plan = (change: Partial<TrainingRecipe>, answerTokens: number) =>
      planTraining(B1, { ...facellm1b(), batchSize: 2, ...change }, { answerTokens });
    assert.equal(plan({}, 100).lossBytes, 200 * 151_674 * 2);
    assert.equal(plan({ lossChunkRows: 64 }, 100).lossBytes, 64 * 151_674 * 2);
    assert.equal(plan({ lossChunkRows: 0, dtype: 'fp32' }, 1000).lossBytes, 896 * 151_674 * 4);
    // All of the answers' logits at once are the largest moment.
    const [one, eight] = [1, 8].map((accumulation) =>
      plan({ accumulation, lossChunkRows: 0 }, 1000),
    );
    assert.ok(one && eight);
    const more = eight.totalBytes - one.totalBytes;
    assert.ok(Math.abs(more - (5 / 3) * one.gradientBytes) <= 1, String(more));
  });

  it('an image side that learns keeps what its backward pass needs', () => {
    const { lora } = facellm1b();
    assert.ok(lora);
    const vision = { rank: 8, alpha: 16 };
    const plan = (change: Partial<TrainingRecipe>) =>
      planTraining(B1, { ...facellm1b(), batchSize: 2, ...change });
    const frozen = plan({});
    assert.equal(frozen.imageBytes, 2 * 1025 * 2 * (2 * 1024 + 2 * 4096));
    const trained = plan({ lora: { ...lora, vision } });
    const ofTower = 2 * 1025 * 2 * 24 * (9 * 1024 + 2 * 4096);
    const ofProjector = 2 * 256 * 2 * (2 * 4096 + 3 * 896);
    assert.equal(trained.imageBytes - frozen.imageBytes, ofTower);
    assert.equal(trained.activationBytes - frozen.activationBytes, ofProjector);
    assert.equal(trained.featureCacheBytes, 0);
    assert.ok(frozen.featureCacheBytes > 0);
    const kept = plan({ lora: { ...lora, vision }, checkpointsActivations: false });
    assert.equal(kept.imageBytes, frozen.imageBytes);
    const ofText = plan({ checkpointsActivations: false }).activationBytes;
    assert.equal(kept.activationBytes - ofText, ofTower + ofProjector);
    // The tower before a projector that learns alone keeps nothing.
    const projector = plan({ lora: { ...lora, projector: vision } });
    assert.equal(projector.imageBytes, frozen.imageBytes);
    assert.equal(projector.activationBytes - frozen.activationBytes, ofProjector);
  });

  it('a head that learns has its gradient beside the logits', () => {
    const plan = (parts: TrainingRecipe['parts'], tiesEmbeddings: boolean) =>
      planTraining({ ...B1, tiesEmbeddings }, { ...nano(), parts, dtype: 'bf16' }).lossBytes;
    const ofHead = 151_674 * 896 * 6;
    assert.equal(plan(['head'], false) - plan(['projector'], false), ofHead);
    assert.equal(plan(['text'], true) - plan(['text'], false), ofHead);
  });

  it('activations that are kept, adapters of DoRA, and parts that are trained whole', () => {
    const kept = of(B8, facellm8b(), { checkpointsActivations: false });
    const layer = 10 * 448 * 2 * (11 * 3584 + 3 * 512 + 3 * 18_944);
    assert.equal(kept.activationBytes, 28 * layer);
    assert.equal(kept.layerBytes, 10 * 448 * 2 * 2 * (3584 + 18_944));
    const { lora } = facellm8b();
    assert.ok(lora);
    const dora = of(B8, facellm8b(), { lora: { ...lora, usesDora: true } });
    const rows = 28 * (2 * 3584 + 2 * 512 + 2 * 18_944 + 3584);
    assert.equal(dora.trainedParameters - kept.trainedParameters, rows);
    const whole = of(B8, nano(), { parts: ['vision', 'projector', 'text', 'head'], dtype: 'bf16' });
    // Norms and biases are not counted.
    assert.ok(
      Math.abs(whole.trainedParameters / 7.94e9 - 1) < 0.01,
      String(whole.trainedParameters),
    );
    assert.equal(whole.trainedBytes, 12 * whole.trainedParameters);
    assert.equal(whole.gradientBytes, 2 * whole.trainedParameters);
    assert.equal(whole.updateBytes, 4 * whole.trainedParameters);
  });
});
