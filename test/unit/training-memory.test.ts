/** What `plan --recipe` says of a run: held to the sizes that were worked out by hand for 8B and 38B. */
import assert from 'node:assert/strict';

import type { NativeModelConfig } from '../../lib/binding/native.js';
import { facellm38b, facellm8b, nano, type TrainingRecipe } from '../../lib/index.js';
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
      plan.trainedBytes,
      plan.activationBytes,
      plan.layerBytes,
      plan.scratchBytes + plan.lossBytes,
      plan.totalBytes,
    ].map((bytes) => Math.round(bytes / 1e8) / 10);

  it('8B on bf16, int8, nf4', () => {
    assert.deepEqual(told(of(B8, facellm8b(), {})), [13.1, 2.8, 0.6, 0.9, 0.7, 0.5, 18.6]);
    assert.deepEqual(
      told(of(B8, facellm8b(), { base: 'int8' })),
      [6.5, 2.8, 0.6, 0.9, 0.7, 0.7, 12.4],
    );
    assert.deepEqual(
      told(of(B8, facellm8b(), { base: 'nf4' })),
      [3.7, 2.8, 0.6, 0.9, 0.7, 0.7, 9.5],
    );
  });

  it('38B with 12 samples on nf4 and int8', () => {
    const own = { batchSize: 12 };
    assert.deepEqual(
      told(of(B38, facellm38b(), { ...own, base: 'nf4' })),
      [17.6, 14.4, 2.1, 3.5, 1.2, 1, 39.9],
    );
    assert.deepEqual(
      told(of(B38, facellm38b(), { ...own, base: 'int8' })),
      [31.2, 14.4, 2.1, 3.5, 1.2, 1, 53.5],
    );
  });

  it('activations that are kept, adapters of DoRA, and parts that are trained whole', () => {
    const kept = of(B8, facellm8b(), { checkpointsActivations: false });
    assert.equal(kept.activationBytes, 28 * kept.layerBytes);
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
    assert.equal(whole.trainedBytes, 14 * whole.trainedParameters);
  });
});
